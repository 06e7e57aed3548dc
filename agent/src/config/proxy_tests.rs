use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

const PROXY: &str = "http://proxy.example:3128";

fn of(variables: Variables<'_>, to: &str) -> Route {
    route(&Environment::of(variables.iter().copied()), &to.parse().unwrap())
}

/// The way to a URL in one word, or the URL of the proxy.
fn way(variables: Variables<'_>, to: &str) -> String {
    match of(variables, to) {
        Route::Direct => "direct".into(),
        Route::Excepted(_) => "excepted".into(),
        Route::Through(proxy) => proxy.url.to_string(),
        Route::Unusable(_) => "unusable".into(),
    }
}

#[test]
fn the_scheme_selects_the_variable() {
    let (https, http) = ("https://c.example:4318/v1/logs", "http://c.example:4318/v1/logs");
    let table: [(Variables<'_>, &str, &str); 11] = [
        (&[], https, "direct"),
        (&[("HTTPS_PROXY", PROXY)], https, "http://proxy.example:3128/"),
        (&[("https_proxy", PROXY)], https, "http://proxy.example:3128/"),
        (&[("HTTPS_PROXY", PROXY)], http, "direct"),
        (&[("HTTP_PROXY", PROXY)], http, "http://proxy.example:3128/"),
        (&[("http_proxy", PROXY)], https, "direct"),
        (&[("ALL_PROXY", PROXY)], https, "http://proxy.example:3128/"),
        (&[("all_proxy", PROXY)], http, "http://proxy.example:3128/"),
        (&[("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:1")], https, "http://a:1/"),
        (&[("HTTPS_PROXY", " "), ("ALL_PROXY", PROXY)], https, "http://proxy.example:3128/"),
        (&[("HTTPS_PROXY", "proxy.example:3128")], https, "http://proxy.example:3128/"),
    ];
    for (variables, to, expected) in table {
        assert_eq!(way(variables, to), expected, "{variables:?} {to}");
    }
}

#[test]
fn no_proxy_lists_hosts_domains_addresses_and_networks() {
    let table = [
        ("otel.obs.svc", "otel.obs.svc", true),
        ("otel.obs.svc", "OTEL.obs.SVC", true),
        (".svc", "otel.obs.svc", true),
        ("svc", "otel.obs.svc", true),
        ("*.svc", "otel.obs.svc", true),
        ("bs.svc", "otel.obs.svc", false),
        (".example, .svc", "otel.obs.svc", true),
        (".example .svc", "otel.obs.svc.", true),
        (".svc", "otel.obs.svc.cluster.local", false),
        ("*", "otel.obs.svc", true),
        ("", "otel.obs.svc", false),
        (".", "otel.obs.svc", false),
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.1.2.3", false),
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3:4317", "10.1.2.3", true),
        ("10.1.2.3:4318", "10.1.2.3", false),
        ("otel.obs.svc:4317", "otel.obs.svc", true),
        ("otel.obs.svc:80", "otel.obs.svc", false),
        ("fd00::/8", "[fd00::7]", true),
        ("fd00::7", "[fd00::7]", true),
        ("[fd00::7]:4317", "[fd00::7]", true),
        ("0.0.0.0/0", "10.1.2.3", true),
        ("0.0.0.0/0", "[fd00::7]", false),
        ("10.0.0.0/x", "10.1.2.3", false),
        ("1.2.3", "11.2.3.4", false),
    ];
    for (list, host, is_excepted) in table {
        for name in ["NO_PROXY", "no_proxy"] {
            let to = format!("https://{host}:4317");
            let way = way(&[("HTTPS_PROXY", PROXY), (name, list)], &to);
            assert_eq!(way == "excepted", is_excepted, "{name}={list} {host}: {way}");
        }
    }
}

#[test]
fn this_machine_needs_no_proxy() {
    for host in ["localhost", "127.0.0.1", "127.8.9.10", "[::1]"] {
        let route = of(&[("HTTP_PROXY", PROXY)], &format!("http://{host}:4318"));
        let Route::Excepted(why) = route else { panic!("{host}: {route:?}") };
        assert!(why.to_string().contains("the proxy of HTTP_PROXY is not for it"), "{why}");
    }
}

#[test]
fn a_password_is_sent_and_never_shown() {
    let secret = "http://al:p%40ss@proxy.example:3128/x";
    let Route::Through(proxy) = of(&[("HTTPS_PROXY", secret)], "https://c.example") else {
        panic!("no proxy")
    };
    assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic YWw6cEBzcw==");
    let shown = format!("{proxy} {proxy:?} {:?}", proxy.authorization);
    assert!(!shown.contains("p%40ss") && !shown.contains("YWw6"), "{shown}");
    assert_eq!(proxy.to_string(), "the proxy http://proxy.example:3128 (HTTPS_PROXY)");
}

#[test]
fn what_cannot_be_used_is_named_without_its_value() {
    let table = [
        ("socks5://u:s3cret@proxy:1080", "it speaks socks5"),
        ("https://u:s3cret@proxy:443", "it speaks https"),
        ("http://u:%zzs3cret@proxy:1", "percent-encoding"),
        ("s3cret s3cret", "not a URL"),
        ("http://", "not a URL"),
    ];
    for (value, why) in table {
        let route = of(&[("HTTPS_PROXY", value)], "https://c.example:4317");
        let Route::Unusable(unusable) = route else { panic!("{value}: {route:?}") };
        let text = unusable.to_string();
        assert!(text.contains(why) && text.contains("HTTPS_PROXY"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}
