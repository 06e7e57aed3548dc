use super::super::axis::{LONGEST, bar};
use super::*;
use tokenwatch_core::base::time::Wall;

const PLAIN: Paint = Paint { colour: false, width: 100 };
const BRIGHT: Paint = Paint { colour: true, width: 100 };
const IAT: i64 = 1_800_000_000;

fn span(name: &str, from: i64, to: i64, attributes: Attributes) -> SpanSeen {
    SpanSeen {
        name: name.into(),
        trace_id: vec![0x4b, 0xf9, 0x2f, 0x35, 0x77],
        start: Wall::from_nanos(IAT * 1_000_000_000 + from * 1_000_000),
        end: Wall::from_nanos(IAT * 1_000_000_000 + to * 1_000_000),
        attributes,
        ..SpanSeen::default()
    }
}

fn pod() -> Attributes {
    Attributes::new()
        .with(schema::K8S_NAMESPACE, "shop")
        .with(schema::K8S_POD_NAME, "cart-0")
        .with(schema::K8S_VOLUME, "kube-api-access-x")
        .with(schema::TOKEN_PATH, "token")
}

fn rotation() -> Trace {
    let mut root =
        span(schema::SPAN_GENERATION, 0, 482_000, pod().with(schema::TOKEN_OUTCOME, "replaced"));
    root.links = vec![(
        vec![0xa3, 0xce, 0x92, 0x91, 0],
        Attributes::new().with(schema::LINK_RELATION, "next"),
    )];
    let children = vec![
        span(schema::SPAN_FRESH, 0, 480_000, Attributes::new()),
        span(schema::SPAN_REFRESH_WAIT, 480_000, 482_000, Attributes::new()),
    ];
    Trace { root, children }
}

#[test]
fn a_rotation_is_drawn_as_a_tree_on_one_axis() {
    insta::assert_snapshot!(generation(&rotation(), PLAIN), @r"
    TRACE     token.generation  shop/cart-0  replaced after 8m 02s
              ├─ token.fresh         ███████████████████████████████   8m 00s
              └─ token.refresh_wait                                 █  2.0s
              kube-api-access-x/token, trace 4bf92f35, next a3ce9291
    ");
}

#[test]
fn a_reader_shows_whether_it_read_the_token() {
    let mut trace = rotation();
    let outcome = |outcome: &str| Attributes::new().with(schema::READER_OUTCOME, outcome);
    trace.children.extend([
        span(schema::SPAN_READER_LAG, 2_000, 62_000, outcome("read")),
        span(schema::SPAN_READER_LAG, 2_000, 482_000, outcome("never_read")),
    ]);
    insta::assert_snapshot!(generation(&trace, PLAIN), @r"
    TRACE     token.generation  shop/cart-0  replaced after 8m 02s
              ├─ token.fresh         ███████████████████████████████   8m 00s
              ├─ token.refresh_wait                                 █  2.0s
              ├─ token.reader_lag    ████                              1m 00s  read
              └─ token.reader_lag    ████████████████████████████████  8m 00s  never read
              kube-api-access-x/token, trace 4bf92f35, next a3ce9291
    ");
}

#[test]
fn a_token_that_expired_has_the_reason() {
    let mut trace = rotation();
    trace.root.error = Some("kubelet did not replace the token before it expired".into());
    let drawn = generation(&trace, BRIGHT);
    assert!(drawn.contains("\u{1b}[1;31merror: kubelet did not replace"), "{drawn}");
}

#[test]
fn a_token_from_the_future_has_no_axis() {
    let mut trace = rotation();
    trace.root.end = trace.root.start;
    insta::assert_snapshot!(generation(&trace, PLAIN), @r"
    TRACE     token.generation  shop/cart-0  replaced before its time of issue
              kube-api-access-x/token, trace 4bf92f35, next a3ce9291
    ");
}

fn stalled(event: &str) -> LogSeen {
    let attributes = pod()
        .with(schema::FINDING_CODE, "token.rotation_stalled")
        .with(schema::FINDING_SEVERITY, "critical")
        .with(
            schema::FINDING_REMEDY,
            "Look for what keeps kubelet from the API server, in its log on this node and in the \
             events of the pod; then see that every source of the volume exists.",
        )
        .with(schema::FINDING_COMMAND, "journalctl -u kubelet --since -1h");
    let body = "Token \"token\" of pod shop/cart-0 should have been replaced 1m 50s ago: kubelet \
                has stopped rotating it."
        .into();
    LogSeen { event: format!("tokenwatch.finding.{event}"), body, attributes, ..LogSeen::default() }
}

#[test]
fn an_alert_names_what_happened_to_which_pod_and_the_remedy() {
    insta::assert_snapshot!(alert(&stalled("raised"), PLAIN), @r#"
RAISED    critical  token.rotation_stalled  shop/cart-0
          Token "token" of pod shop/cart-0 should have been replaced 1m 50s ago: kubelet has stopped
          rotating it.
          do: Look for what keeps kubelet from the API server, in its log on this node and in the
              events of the pod; then see that every source of the volume exists.
          $ journalctl -u kubelet --since -1h
"#);
}

#[test]
fn a_cleared_alert_has_no_remedy() {
    let drawn = alert(&stalled("cleared"), BRIGHT);
    assert!(drawn.starts_with("\u{1b}[32mCLEARED") && !drawn.contains("journalctl"), "{drawn}");
}

fn measurement(state: &str, offset: f64) -> Trace {
    let about = |attributes: Attributes| {
        attributes.with(schema::NTP_OFFSET, offset).with(schema::NTP_VERDICT, "agrees")
    };
    let server = |port: i64| {
        about(
            Attributes::new()
                .with(schema::SERVER_ADDRESS, "127.0.0.1")
                .with(schema::SERVER_PORT, port),
        )
    };
    let attributes = Attributes::new()
        .with(schema::CLOCK_STATE, state)
        .with(schema::CLOCK_OFFSET, offset)
        .with(schema::CLOCK_ERROR_BOUND, 0.000_2);
    Trace {
        root: span(schema::SPAN_CLOCK, 0, 4, attributes),
        children: vec![
            span(schema::SPAN_NTP, 0, 2, server(30_001)),
            span(schema::SPAN_NTP, 1, 4, server(30_002)),
        ],
    }
}

#[test]
fn a_measurement_shows_every_server() {
    insta::assert_snapshot!(clock(&measurement("off", 12.0), PLAIN), @r"
TRACE     clock.measure  true time - node's clock = +12.0s ±200us  off
          ├─ ntp.exchange 127.0.0.1:30001  █████████████                2.0ms  offset +12.0s  agrees
          └─ ntp.exchange 127.0.0.1:30002        █████████████████████  3.0ms  offset +12.0s  agrees
");
}

/// Commands are the exception: they are there to be copied.
#[test]
fn only_commands_are_wider_than_the_terminal() {
    for width in [80, 100] {
        let paint = Paint { colour: false, width };
        let mut long = rotation();
        long.root.attributes = Attributes::new()
            .with(schema::K8S_NAMESPACE, "batch")
            .with(schema::K8S_POD_NAME, "nightly-report-".repeat(3));
        let drawn = [
            generation(&long, paint),
            alert(&stalled("raised"), paint),
            clock(&measurement("synchronised", -12.345), paint),
        ]
        .concat();
        for row in drawn.lines().filter(|row| !row.contains("$ ")) {
            assert!(row.chars().count() <= width, "{width} columns: {row}");
        }
    }
}

#[test]
fn only_changes_of_the_clock_are_drawn() {
    let mut feed = ClockFeed::default();
    let mut lines = |state: &str, offset: f64| {
        feed.draw(&measurement(state, offset), PLAIN).map(|text| text.lines().count())
    };
    let table = [
        ("synchronised", 0.0, Some(3)),
        ("synchronised", 0.000_1, None),
        ("off", 4.0, Some(3)),
        ("off", 12.0, Some(1)),
        ("off", 12.1, None),
    ];
    for (state, offset, expected) in table {
        assert_eq!(lines(state, offset), expected, "{state} {offset}");
    }
}

#[test]
fn small_moves_add_up() {
    let mut feed = ClockFeed::default();
    let drawn = (0..10)
        .filter(|i| feed.draw(&measurement("off", f64::from(*i) * 0.2), PLAIN).is_some())
        .count();
    assert_eq!(drawn, 4); // the first, and at 0.6, 1.2 and 1.8 s
}

proptest::proptest! {
    #[test]
    fn bars_never_leave_their_axis(
        root in 0..1_000_i64,
        from in -500..1_500_i64,
        length in -500..1_500_i64,
    ) {
        let root = span("root", 0, root, Attributes::new());
        let drawn = bar(&root, &span("child", from, from + length, Attributes::new()), LONGEST);
        proptest::prop_assert_eq!(drawn.chars().count(), LONGEST);
        proptest::prop_assert!(drawn.contains('█'));
    }
}
