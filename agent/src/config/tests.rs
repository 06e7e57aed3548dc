//! Settings from file, environment and flags, and the mistakes in them.

use tokenwatch_core::base::time::Delta;

use super::*;
use crate::environment::Environment;

fn read(
    yaml: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &[&str])],
) -> Result<Loaded, Mistakes> {
    let environment = Environment::of(variables.iter().copied());
    let flags = flags.iter().map(|(name, texts)| {
        let setting = Setting::named(name).expect("a setting of that name");
        Flag {
            setting,
            name: setting.flag,
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        }
    });
    load(&Given {
        file: Some(("tw.yaml".to_owned(), yaml.to_owned())),
        environment: &environment,
        flags: flags.collect(),
    })
}

fn mistakes(yaml: &str) -> Vec<String> {
    read(yaml, &[], &[]).expect_err("mistakes").0.iter().map(ToString::to_string).collect()
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let yaml = "clock: {timeout: 2s, max_age: 2h, interval: 100s}\nfiles: {rescan: 5m}\n";
    let variables = [("TOKENWATCH_CLOCK_TIMEOUT", "3s"), ("TOKENWATCH_CLOCK_MAX_AGE", "3h")];
    let loaded = read(yaml, &variables, &[("clock.timeout", &["4s"])]).unwrap();
    let clock = &loaded.settings.clock;
    assert_eq!(
        (clock.timeout, clock.max_age, clock.interval),
        (Delta::from_secs(4), Delta::from_secs(3 * 3_600), Delta::from_secs(100))
    );
    assert_eq!(clock.offset_limit, Delta::from_millis(500));
    let origin = |name| loaded.origin(name).to_string();
    assert_eq!(origin("clock.timeout"), "flag --clock-timeout");
    assert_eq!(origin("clock.max_age"), "environment variable TOKENWATCH_CLOCK_MAX_AGE");
    assert_eq!(origin("clock.interval"), "tw.yaml:1:45");
    assert_eq!(origin("clock.offset_limit"), "default");
}

#[test]
fn every_mistake_is_reported_with_its_position() {
    let yaml = "\
roots: /var/lib/kubelet
clok:
  servers: [a]
clock:
  servers: [ok.example, 'bad:port:x', \"[::1]:0\"]
  intervall: 64s
  timeout: 1
  discover: no
log: info
otlp:
  protocol: htp
  headers: {a b: secret-1, ok: 5}
files:
  rescan: 5m
  rescan: 6m
  timeout: 1s
";
    assert_eq!(
        mistakes(yaml),
        [
            "tw.yaml:1:8: roots: expected a list such as [a, b], found text",
            "tw.yaml:2:1: unknown key clok; did you mean clock?",
            "tw.yaml:5:25: clock.servers: \"bad:port:x\" is not HOST or HOST:PORT; write an \
             IPv6 address with a port in brackets, as in [2001:db8::1]:123",
            "tw.yaml:5:39: clock.servers: \"0\" is not a port: expected 1 to 65535",
            "tw.yaml:6:3: unknown key clock.intervall; did you mean clock.interval?",
            "tw.yaml:7:12: clock.timeout: 1 has no unit: write 1s for seconds or 1m for minutes",
            "tw.yaml:8:13: clock.discover: expected true or false, found \"no\"",
            "tw.yaml:9:6: log: expected a mapping of settings, found text",
            "tw.yaml:11:13: otlp.protocol: \"htp\" is not one of grpc, http/protobuf",
            "tw.yaml:12:13: otlp.headers: a name here is not the name of a header; in the file \
             write a space after its colon, as in {name: value}",
            "tw.yaml:12:32: otlp.headers: expected text: put it in quotes",
            "tw.yaml:15:3: files.rescan is already set on line 14: remove one of them",
            "tw.yaml:16:3: unknown key files.timeout; did you mean clock.timeout?",
        ]
    );
}

#[test]
fn mistakes_in_environment_and_flags_name_them() {
    let variables = [
        ("TOKENWATCH_CLOCK_SERVERS", "a,[::1"),
        ("TOKENWATCH_CLOK_SERVERS", "a"),
        ("TOKENWATCH_CONFIG", "/etc/tw.yaml"),
        ("TOKENWATCH_SERVICE_HOST", "10.0.0.1"),
        ("TOKENWATCH_PORT_4317_TCP_ADDR", "10.0.0.1"),
    ];
    let error =
        read("", &variables, &[("clock.interval", &["15s"]), ("otlp.headers", &["secretvalue"])])
            .unwrap_err()
            .to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 4, "{error}");
    assert!(
        lines[0].starts_with("environment variable TOKENWATCH_CLOCK_SERVERS: \"[::1\" is not HOST")
    );
    assert_eq!(
        lines[1],
        "environment variable TOKENWATCH_CLOK_SERVERS: unknown variable; did you mean \
         TOKENWATCH_CLOCK_SERVERS?"
    );
    assert_eq!(lines[2], "flag --otlp-header: expected NAME=VALUE, found no =");
    assert!(
        lines[3].starts_with(
            "flag --clock-interval: clock.interval: 15s is too short: the minimum is 16s"
        ),
        "{}",
        lines[3]
    );
}

#[test]
fn only_servers_on_this_machine_allow_a_short_interval() {
    let with = |servers: &str, interval: &str| {
        read(
            "clock: {timeout: 100ms}",
            &[],
            &[("clock.servers", &[servers]), ("clock.interval", &[interval])],
        )
        .map(drop)
    };
    assert!(with("127.0.0.1:10123,[::1]:123,localhost", "1s").is_ok());
    assert!(
        with("127.0.0.1,192.0.2.1", "1s")
            .unwrap_err()
            .to_string()
            .contains("operators of time servers")
    );
    assert!(
        with("127.0.0.1", "999ms")
            .unwrap_err()
            .to_string()
            .contains("even for servers on this machine")
    );
    assert!(with("192.0.2.1", "16s").is_ok());
}

#[test]
fn contradictions_between_settings_are_mistakes() {
    let error = read("clock: {timeout: 2m, max_age: 10s}", &[], &[]).unwrap_err().to_string();
    assert!(error.contains("tw.yaml:1:18: clock.timeout: must be shorter"), "{error}");
    assert!(error.contains("tw.yaml:1:31: clock.max_age: must be longer"), "{error}");
}

#[test]
fn sizes_have_units_and_bounds() {
    let memory = |text: &str| {
        read(&format!("alerts: {{memory: {text}}}"), &[], &[])
            .map(|loaded| loaded.settings.alerts.memory)
    };
    assert_eq!(memory("512KiB").unwrap().bytes(), 512 << 10);
    assert_eq!(
        read("", &[("TOKENWATCH_ALERTS_MEMORY", "1MB")], &[])
            .unwrap()
            .settings
            .alerts
            .memory
            .bytes(),
        1_000_000
    );
    let message = |text: &str| memory(text).unwrap_err().to_string();
    assert_eq!(
        message("4Mi"),
        "tw.yaml:1:18: alerts.memory: \"4Mi\" is not a size; did you mean 4MiB?\n"
    );
    assert!(
        message("4194304")
            .starts_with("tw.yaml:1:18: alerts.memory: 4194304 has no unit: write 4MiB for bytes")
    );
    assert!(
        message("1kB").ends_with("1kB is too small: the minimum is 64KiB\n"),
        "{}",
        message("1kB")
    );
    assert!(
        message("2GiB").ends_with("2GiB is too large: the maximum is 1GiB\n"),
        "{}",
        message("2GiB")
    );
}

#[test]
fn servers_are_read_in_every_form() {
    let servers =
        |text| read("", &[("TOKENWATCH_CLOCK_SERVERS", text)], &[]).unwrap().settings.clock.servers;
    let shown: Vec<String> =
        servers("a.example, b.example:1123,192.0.2.1,[2001:db8::1]:5,[2001:db8::2],2001:db8::3")
            .iter()
            .map(ToString::to_string)
            .collect();
    assert_eq!(
        shown,
        [
            "a.example:123",
            "b.example:1123",
            "192.0.2.1:123",
            "[2001:db8::1]:5",
            "[2001:db8::2]:123",
            "[2001:db8::3]:123"
        ]
    );
}

#[test]
fn the_log_has_a_level_and_levels_per_module() {
    use tracing::Level;
    let would = |level: &str, module, at| {
        let settings = read(&format!("log: {{level: '{level}'}}\n"), &[], &[]).unwrap().settings;
        settings.log.filter().would_enable(module, &at)
    };
    let table = [
        ("info", "hyper::proto", Level::INFO, true),
        ("info", "tokenwatch::agent", Level::DEBUG, false),
        ("off", "tokenwatch::agent", Level::ERROR, false),
        ("info,tokenwatch=debug", "tokenwatch::agent", Level::DEBUG, true),
        ("info,tokenwatch=debug", "hyper::proto", Level::DEBUG, false),
        ("info, tokenwatch::sinks=off", "tokenwatch::sinks::otlp", Level::ERROR, false),
        ("info, tokenwatch::sinks=off", "tokenwatch::agent", Level::INFO, true),
    ];
    for (level, module, at, is_written) in table {
        assert_eq!(would(level, module, at), is_written, "{level}: {module} at {at}");
    }
    for wrong in ["loud", "info,tokenwatch=loud", "info,,warn", "a=b=info", "tokenwatch"] {
        assert!(read(&format!("log: {{level: '{wrong}'}}\n"), &[], &[]).is_err(), "{wrong}");
    }
}

#[test]
fn the_node_name_can_come_from_node_name() {
    let node = |yaml, variables: &[(&str, &str)]| read(yaml, variables, &[]).unwrap().settings.node;
    assert_eq!(node("", &[("NODE_NAME", "n1")]).as_deref(), Some("n1"));
    assert_eq!(node("node: file", &[("NODE_NAME", "n1")]).as_deref(), Some("file"));
    assert_eq!(
        node("node: file", &[("TOKENWATCH_NODE", "own"), ("NODE_NAME", "n1")]).as_deref(),
        Some("own")
    );
    assert_eq!(
        mistakes("node: 17"),
        ["tw.yaml:1:7: node: expected text, but YAML reads this as 17: put it in quotes"]
    );
}

#[test]
fn the_effective_configuration_reads_back() {
    let yaml = "roots: [/a, '/b #c']\n\
        clock: {servers: ['[::1]:1123'], interval: 1h1m1s1ms, max_age: 1d, discover: false}\n\
        otlp: {endpoint: 'http://c:4317'}";
    let loaded = read(yaml, &[], &[]).unwrap();
    let text = effective(&loaded, &Environment::default());
    assert_eq!(read(&text, &[], &[]).unwrap().settings, loaded.settings, "{text}");
}

#[test]
fn secrets_and_standard_variables_are_shown_as_such() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
    ];
    let environment = Environment::of(variables);
    let loaded = read("", &variables, &[]).unwrap();
    assert_eq!(
        loaded.settings,
        Settings::default(),
        "standard variables do not change our own settings"
    );
    let text = effective(&loaded, &environment);
    let line = |key: &str| {
        text.lines()
            .skip_while(|line| *line != "otlp:")
            .find(|line| line.trim().starts_with(key))
            .unwrap_or_default()
    };
    assert!(
        line("endpoint").ends_with("# environment variable OTEL_EXPORTER_OTLP_ENDPOINT"),
        "{text}"
    );
    assert!(line("timeout").contains("2s500ms"), "{text}");
    assert!(line("headers").contains("***") && !text.contains("hunter2"), "{text}");
}

#[test]
fn hostile_yaml_is_refused_quickly() {
    let bomb = (1..20).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |out, i| {
        let before = format!("*a{}", i - 1);
        format!("{out}a{i}: &a{i} [{}]\n", vec![before; 10].join(","))
    });
    let hostile = [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "a: b\n".repeat(2_000_000),
        bomb,
        "- ".repeat(100_000),
        "a: *nowhere".into(),
        "\t- x: [".into(),
        "%".repeat(1_000),
        "---\na: 1\n---\nb: 2\n".into(),
    ];
    for text in hostile {
        let started = crate::clocks::now();
        let shown: String = text.chars().take(20).collect();
        let found = mistakes(&text);
        assert!(found.iter().all(|line| line.len() < 1_000), "{shown}: {found:?}");
        assert!(
            crate::clocks::now().monotonic - started.monotonic < Delta::from_secs(5),
            "{shown} took too long"
        );
    }
}

#[test]
fn syntax_errors_have_a_position() {
    let found = mistakes("clock:\n  servers: [a\nlog: x\n");
    assert!(found[0].starts_with("tw.yaml:3:") || found[0].starts_with("tw.yaml:2:"), "{found:?}");
}

#[test]
fn yaml_that_is_no_configuration_is_refused_in_plain_words() {
    let table = [
        (
            "log: {level: info}\n---\nnode: n1\n",
            "tw.yaml:3:1: a configuration is one YAML document, and a second one (after ---) \
             begins here",
        ),
        (
            "clock: &all\n  servers: *all\n",
            "tw.yaml:2:12: this alias (*) is inside its own anchor (&), so it never ends: write \
             the value out",
        ),
        (
            &"#".repeat(300 * 1024),
            "tw.yaml: larger than 0.25 MiB, the limit for a configuration: is this the right file?",
        ),
    ];
    for (yaml, message) in table {
        assert_eq!(mistakes(yaml), [message]);
    }
}

#[test]
fn flags_and_variables_are_unique() {
    let mut flags: Vec<&str> = SETTINGS.iter().map(|setting| setting.flag).collect();
    let mut variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    flags.sort_unstable();
    variables.sort_unstable();
    assert!(flags.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(variables.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(variables.len(), SETTINGS.len());
}

/// The text after "Default " is read as the setting itself would be, and gives the default.
#[test]
fn every_description_names_the_default() {
    for setting in SETTINGS {
        let default = setting.doc.rsplit_once(" Default").expect(setting.name).1;
        let mut settings = Settings::default();
        if let Some(value) = default.strip_prefix(' ').and_then(|value| value.strip_suffix('.')) {
            let input = [value.to_owned()];
            (setting.set)(&mut settings, declare::Input::Texts(&input)).unwrap();
            assert_eq!(settings, Settings::default(), "{}", setting.name);
        } else {
            assert!(default.starts_with(": ") && default.ends_with('.'), "{}", setting.doc);
            let value = (setting.show)(&settings).unwrap_or_default();
            assert!(["", "[]", "{}"].contains(&value.as_str()), "{}: {value}", setting.name);
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-z:\\[\\]{}&*!|> \n#\"'-]{0,60}") {
        let _ = read(&text, &[], &[]);
    }
}
