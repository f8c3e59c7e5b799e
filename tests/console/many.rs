//! The console of 100,000 endpoints of 10,000 services: a page of rows, a service that is found by its name, few octets.

use std::time::Instant;

use serde_json::Value;

use super::*;

const SERVICES: usize = 10_000;
/// Elements of the whole page, most of which are the map.
const MOST_ELEMENTS: u64 = 5000;
/// Octets of one answer of the status.
const MOST_OCTETS: f64 = 100_000.0;
/// Seconds of the server's processor time for each of these answers in a debug build.
const MOST_TIME: f64 = 1.5;

fn rows(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('#services tbody tr')].map((it) => it.cells[0].textContent)";
    serde_json::from_value(browser.run(script, json!([]))).expect("texts")
}

#[track_caller]
fn first_row_is(browser: &Browser, name: &str) {
    let script =
        "return document.querySelector('#services tbody tr .choice')?.textContent === arguments[0]";
    browser.until_with("the row is the first", script, json!([name]));
}

#[track_caller]
fn shows(browser: &Browser, service: &str) {
    let shown = "return document.querySelector('#service').value === arguments[0]
        && document.querySelector('#forecast').textContent.includes(arguments[0])
        && document.querySelectorAll('#health tbody tr').length === 10";
    browser.until_with("the service is shown", shown, json!([service]));
}

#[track_caller]
fn choose_state(browser: &Browser, state: &str) {
    let script = "const it = document.querySelector('#find-state'); it.value = arguments[0];
        it.dispatchEvent(new Event('change'))";
    browser.run(script, json!([state]));
}

/// How many answers of the status the page has asked for, and the octets of the longest.
fn answers(browser: &Browser) -> (f64, f64) {
    let script = "const all = performance.getEntriesByType('resource').filter((it) => it.name.includes('/v1/status'));
        return [all.length, Math.max(...all.map((it) => it.decodedBodySize))]";
    let found: Vec<f64> = serde_json::from_value(browser.run(script, json!([]))).expect("numbers");
    (found[0], found[1])
}

fn pages(browser: &Browser) {
    let count = "return document.querySelector('#services-count').textContent";
    assert_eq!(
        browser.run(count, json!([])),
        json!("1 to 25 of 10000 services; none with problems")
    );
    let first = rows(browser);
    assert_eq!((first.len(), first[0].as_str()), (25, "s0.example.test"));
    browser.click("#services-on");
    first_row_is(browser, "s102.example.test");
    assert!(rows(browser).iter().all(|name| !first.contains(name)));
    browser.click("#services-back");
    first_row_is(browser, "s0.example.test");
    assert_eq!(rows(browser), first);
}

fn search(browser: &Browser) {
    let start = Instant::now();
    browser.fill("#find-name", "s7777.");
    first_row_is(browser, "s7777.example.test");
    println!("found after {:?}", start.elapsed());
    assert_eq!(rows(browser).len(), 1);
    browser.click("#services .choice");
    shows(browser, "s7777.example.test");
    println!("shown after {:?}", start.elapsed());
}

#[test]
fn ten_thousand_services_are_a_page_of_rows_and_one_is_found_by_its_name() {
    let server = world::start(&world::many_services(SERVICES));
    let before = server.processor_time();
    let browser = open(&server);
    first_row_is(&browser, "s0.example.test");
    shows(&browser, "s0.example.test");
    pages(&browser);
    search(&browser);
    browser.keep("console-many");
    let path = "/v1/services/s31.example.test/regions/fra/drain";
    assert_eq!(world::call(&server, "PUT", path, TOKEN, "{}").0, 200);
    browser.fill("#find-name", "");
    choose_state(&browser, "drained");
    first_row_is(&browser, "s31.example.test");
    assert_eq!(rows(&browser).len(), 1);
    let elements: Value = browser.run("return document.querySelectorAll('*').length", json!([]));
    println!("{elements} elements");
    assert!(elements.as_u64() < Some(MOST_ELEMENTS), "{elements}");
    let (count, octets) = answers(&browser);
    let time = (server.processor_time() - before).as_secs_f64() / count;
    println!(
        "{count} answers of the status, {octets} octets at most, {time:.3} s of processor time each"
    );
    assert!(count > 5.0 && octets < MOST_OCTETS && time < MOST_TIME);
    let cut = "return [document.documentElement, ...document.querySelectorAll('.scroll')]
        .filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.id || it.tagName)";
    assert_eq!(browser.run(cut, json!([])), json!([]));
    browser.is_calm();
}
