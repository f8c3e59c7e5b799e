//! What the page shows of a service, on every screen: colours, rules, links, times, and explanations that stay true.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

/// Shows another service.
fn choose(browser: &Browser, service: &str) {
    browser.run(
        "const it = document.querySelector('#service'); it.value = arguments[0]; it.dispatchEvent(new Event('change'))",
        json!([service]),
    );
    shows(browser, service);
}

/// Waits until a service is shown, and how it decides.
#[track_caller]
fn shows(browser: &Browser, service: &str) {
    let shown = "return document.querySelector('#service').value === arguments[0]
        && document.querySelector('#forecast').textContent.includes(arguments[0])
        && document.querySelector('#rules').children.length > 0";
    browser.until_with("the service is shown", shown, json!([service]));
}

fn text_of(browser: &Browser, selector: &str) -> String {
    let text = browser.run(
        "return document.querySelector(arguments[0]).textContent",
        json!([selector]),
    );
    text.as_str().expect("a text").to_owned()
}

fn page_of(server: &Server, view: &str) -> String {
    format!("http://{}/{view}", server.admin.expect("it has one"))
}

/// Goes to a view by its link, with a page that is loaded anew.
fn open_at(browser: &Browser, server: &Server, view: &str) {
    browser.go("about:blank");
    browser.go(&page_of(server, view));
    browser.until(
        "the map is drawn",
        "return document.querySelector('#map')?.dataset.ready === 'yes'",
    );
}

#[test]
fn a_region_has_one_colour_in_every_service() {
    let server = Server::demo();
    let browser = open(&server);
    let colours = "const fill = (it) => getComputedStyle(it).fill;
        const swatch = document.querySelector('tr[data-region=bom] .swatch');
        const marker = document.querySelector('.marker[data-region=bom]');
        return [getComputedStyle(swatch).backgroundColor, fill(marker), document.querySelector('[data-country=IN]').style.fill]";
    shows(&browser, "www.example.com");
    let before = browser.run(colours, json!([]));
    // There it is the fourth of seven regions, here the third of three.
    choose(&browser, "data.example.com");
    let after = browser.run(colours, json!([]));
    assert_eq!(before, after);
    assert!(
        before[0] == before[1] && before[1] == before[2] && before[0] != json!("rgba(0, 0, 0, 0)"),
        "{before}"
    );
    browser.is_calm();
}

#[test]
fn how_a_service_decides_is_shown_and_a_weight_where_it_counts() {
    let (fra, _iad, server) = play();
    let browser = open(&server);
    shows(&browser, "www.example.test");
    let rules = text_of(&browser, "#rules");
    for word in [
        "every region may serve every client",
        "nearest region first",
        "as if all were up",
        "by weight",
    ] {
        assert!(rules.contains(word), "{word}: {rules}");
    }
    for word in [
        "HTTP GET /",
        "1s, timeout 500ms",
        "3 failures",
        "5 successes",
        "fra up",
        "iad up",
    ] {
        assert!(rules.contains(word), "{word}: {rules}");
    }
    let offered = "return [...document.querySelectorAll('.control')].filter((it) => !it.hidden).map((it) => it.className)";
    assert_eq!(
        browser.run(offered, json!([])),
        json!(["control bias-control", "control bias-control"])
    );
    assert!(!text_of(&browser, "#health").contains("Weight"));
    fra.set_broken(true);
    browser.until(
        "its check is seen to fail",
        "return document.querySelector('#rules').textContent.includes('fra down')",
    );
    choose(&browser, "api.example.test");
    assert!(text_of(&browser, "#rules").contains("weights of regions: fra 100, iad 100"));
    assert!(text_of(&browser, "#rules").contains("No checks: all endpoints count as up"));
    assert_eq!(
        browser.run(offered, json!([])),
        json!(["control weight-control", "control weight-control"])
    );
    browser.is_calm();
}

#[test]
fn fences_are_shown_with_whom_they_are_about() {
    let server = Server::demo();
    let browser = open(&server);
    choose(&browser, "data.example.com");
    assert!(
        text_of(&browser, "#rules").contains("continents AS: only bom"),
        "{}",
        text_of(&browser, "#rules")
    );
    browser.is_calm();
}

#[test]
fn a_link_opens_the_view_and_the_browser_goes_back_and_forward() {
    let (_fra, _iad, server) = play();
    let browser = Browser::start(1280, 1500);
    let view = "#service=api.example.test&off=nowhere&weight=iad%3A300&weight=fra%3Ax&name=www.example.test\
                &client=203.0.113.0%2F24&type=A";
    open_at(&browser, &server, view);
    shows(&browser, "api.example.test");
    let three =
        "return document.querySelector('tr[data-region=iad] .then').textContent === '75.0 %'";
    browser.until("the what-if is asked", three);
    browser.until(
        "the client is asked about",
        "return document.querySelector('#why .answer')?.textContent.includes('fra')",
    );
    let hash = || {
        browser
            .run("return location.hash", json!([]))
            .as_str()
            .expect("a text")
            .to_owned()
    };
    assert_eq!(
        hash(),
        view.replace("&off=nowhere", "")
            .replace("&weight=fra%3Ax", ""),
        "what is not there is left out"
    );

    choose(&browser, "www.example.test");
    assert!(
        hash().starts_with("#service=www.example.test&name=www.example.test&client="),
        "{}",
        hash()
    );
    browser.click("#shares tr[data-region=fra] .off");
    browser.until(
        "the link has it",
        "return location.hash.includes('&off=fra')",
    );
    browser.run("history.back()", json!([]));
    browser.until(
        "fra is on again",
        "return document.querySelector('tr[data-region=fra] .then').textContent === ''",
    );
    browser.run("history.back()", json!([]));
    shows(&browser, "api.example.test");
    browser.until("with its what-if", three);
    browser.run("history.go(2)", json!([]));
    shows(&browser, "www.example.test");
    browser.until(
        "fra is off",
        "return document.querySelector('tr[data-region=fra] .then').textContent === '0.0 %'",
    );

    open_at(&browser, &server, "#service=gone.example.test");
    browser.until(
        "it says so",
        "return document.querySelector('#notice').textContent.includes('gone.example.test')",
    );
    shows(&browser, "www.example.test");
    // The question for it is the one thing that the browser tells of.
    browser.is_calm_but_for(&["404"]);
}

#[test]
fn an_explanation_follows_what_happens_and_says_as_of_when() {
    let (fra, _iad, server) = play();
    let browser = open(&server);
    browser.fill("#client", "203.0.113.0/24");
    browser.click("#ask button");
    browser.until(
        "it is explained",
        "return document.querySelector('#why .answer')?.textContent.includes('fra')",
    );
    let dated = "return /^As of [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} UTC; /
        .test(document.querySelector('#why-time').textContent)";
    assert_eq!(
        browser.run(dated, json!([])),
        json!(true),
        "{}",
        text_of(&browser, "#why-time")
    );
    fra.set_broken(true);
    let follows =
        "return document.querySelector('#why .answer').textContent.includes('iad, 127.0.0.22')
        && document.querySelector('#map .way.serves').dataset.region === 'iad'";
    browser.until("it is explained anew", follows);
    // The what-if is part of the question.
    browser.click("#shares tr[data-region=iad] .off");
    browser.until(
        "and once more",
        "return document.querySelector('#why').textContent.includes('switched off')",
    );
    let event = "const it = document.querySelector('#events time');
        return /^[-0-9]{10} [:0-9]{8} UTC$/.test(it.textContent) && it.title.length > 10";
    browser.until("events are dated", event);
    browser.is_calm();
    drop(server);
    browser.until(
        "it is old",
        "return document.querySelector('#why-time.bad')?.textContent.includes('may be old')",
    );
}

/// Everything that can be touched, and what of it is outside of the window or smaller than a finger; a box to tick is as
/// large as its label.
const OUT_OF_REACH: &str = "const shown = [...document.querySelectorAll('input, select, button')]
        .map((it) => (it.type === 'checkbox' ? it.closest('label') : it)).filter((it) => it.checkVisibility());
    const bad = shown.map((it) => [it.className || it.id || it.textContent, it.getBoundingClientRect()])
        .filter(([, box]) => box.left < 0 || box.right > innerWidth || box.height < 40 || box.width < 40)
        .map(([name, box]) => [name, box.left, box.right, box.width, box.height]);
    return { count: shown.length, bad, wide: document.documentElement.scrollWidth - innerWidth }";

#[test]
fn every_control_can_be_reached_on_a_small_telephone() {
    let (_fra, _iad, server) = play();
    let browser = Browser::start(1280, 900);
    browser.resize(360, 640);
    for (view, least) in [
        ("#service=www.example.test", 15),
        ("#service=api.example.test&off=fra", 15),
    ] {
        open_at(&browser, &server, view);
        browser.until(
            "the rules are shown",
            "return document.querySelector('#rules').children.length > 0",
        );
        let found = browser.run(OUT_OF_REACH, json!([]));
        assert_eq!(
            (&found["bad"], found["wide"].as_i64() <= Some(0)),
            (&json!([]), true),
            "{view}: {found}"
        );
        assert!(found["count"].as_u64() >= Some(least), "{found}");
    }
    // What can be reached can be used.
    browser.click("#shares tr[data-region=iad] .off");
    browser.until(
        "both are off",
        "return document.querySelector('tr[data-region=iad] .state').textContent === 'off'",
    );
    browser.keep_whole("console-360");
    browser.is_calm();
}

/// What sticks out of the window, or has to be scrolled sideways.
const CUT_OFF: &str = "return [document.documentElement, ...document.querySelectorAll('.scroll')]
    .filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.id || it.className || it.tagName)";

/// Pictures to be looked at: target/console-WHAT-WIDTH-THEME.png. Nothing sticks out of any of them.
#[track_caller]
fn look_at(browser: &Browser, server: &Server, what: &str, view: &str, told: &str) {
    for (width, theme) in [1920, 1400, 390]
        .into_iter()
        .flat_map(|width| [(width, "light"), (width, "dark")])
    {
        browser.resize(width, 900);
        browser.set_theme(theme);
        open_at(browser, server, view);
        browser.until(
            "the rules are shown",
            "return document.querySelector('#rules').children.length > 0",
        );
        browser.until(what, told);
        assert_eq!(
            browser.run(CUT_OFF, json!([])),
            json!([]),
            "{what} {width} {theme}"
        );
        browser.keep_whole(&format!("console-{what}-{width}-{theme}"));
    }
}

/// Breaks the first region of a demo, whose port is in what its check asks.
fn break_frankfurt(browser: &Browser) {
    let asks = text_of(browser, "#rules td[data-label=Probe]");
    let port = asks
        .rsplit(' ')
        .next()
        .and_then(|port| port.parse::<u16>().ok())
        .expect("the probe names a port");
    let mut stream = TcpStream::connect(("127.0.1.1", port)).expect("the region listens");
    stream
        .write_all(b"POST /break HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn the_page_is_whole_on_every_screen_in_light_and_dark() {
    let server = Server::demo();
    let browser = Browser::start(1400, 1000);
    let explained = "return !!document.querySelector('#why .answer')";
    let ask = "&name=www.example.com&client=193.0.0.0%2F21&type=A";
    let www = "#service=www.example.com";
    let counted = "return /^[0-9]/.test(document.querySelector('#rate').textContent)";
    look_at(&browser, &server, "well", www, counted);
    look_at(&browser, &server, "why", &format!("{www}{ask}"), explained);
    let switched = format!("#service=data.example.com&off=bom&bias=fra%3A40{ask}");
    look_at(&browser, &server, "what-if", &switched, explained);
    break_frankfurt(&browser);
    let down = "return document.querySelector('tr[data-region=fra] .state').textContent === 'down'
        && !!document.querySelector('#why .answer') && document.querySelectorAll('#events li').length >= 3";
    look_at(&browser, &server, "dead", &format!("{www}{ask}"), down);
    browser.is_calm();
}
