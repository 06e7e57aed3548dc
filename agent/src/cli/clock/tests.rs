use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::clocks::{Exchange, ExchangeError, Leap, Sample};

use super::*;

fn report_of(offsets: &[Option<i64>]) -> ClockReport {
    let at = Reading { wall: Wall::from_secs(1_800_000_000), ..Reading::default() };
    let exchange = |(n, millis): (usize, &Option<i64>)| Exchange {
        server: format!("192.0.2.{n}").parse().unwrap(),
        started: at,
        ended: at,
        result: millis.ok_or(ExchangeError::Timeout).map(|millis| Sample {
            offset: Delta::from_millis(millis),
            delay: Delta::from_millis(2),
            root_distance: Delta::from_millis(3),
            stratum: 1,
            leap: Leap::None,
            reference_id: "GPS".to_owned(),
            taken: at,
        }),
    };
    let round = Round {
        started: at,
        ended: at,
        exchanges: offsets.iter().enumerate().map(exchange).collect(),
        voters: Vec::new(),
    };
    let limits = Limits { servers_configured: !offsets.is_empty(), ..Limits::default() };
    ClockReport::new(&round, Err(io::Error::other("not permitted").into()), &limits, at)
}

#[test]
fn exit_status_text_and_json_agree() {
    let cases: &[(&[Option<i64>], u8, &str)] = &[
        (&[Some(0), Some(1), None], 0, "synchronised"),
        (&[Some(0), Some(1), Some(37_250)], 0, "synchronised"),
        (&[Some(90_000), Some(90_000)], 1, "off"),
        (&[Some(0), Some(37_250)], 2, "disagreeing"),
        (&[Some(7_200_000), None, None], 2, "unknown"),
        (&[Some(7_200_000), Some(7_200_000), None], 1, "off"),
        (&[Some(7_200_000)], 1, "off"),
        (&[None], 2, "unknown"),
        (&[], 2, "unknown"),
    ];
    for (offsets, code, state) in cases {
        let report = report_of(offsets);
        let (text, json) = (report.text(Layout::plain()), report.json());
        assert_eq!(report.exit_code(), *code, "{text}");
        assert!(text.contains(&format!("clock   {state}: ")), "{text}");
        assert_eq!(json["state"], *state);
        assert_eq!(json["servers"].as_array().unwrap().len(), offsets.len());
        assert_eq!(json["offset"].is_null(), *code == 2);
        assert!(
            *code == 0 || !report.findings.is_empty(),
            "a status other than 0 comes with a finding: {text}"
        );
    }
}
