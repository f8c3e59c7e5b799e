//! The console of a server of a fleet: all servers, who differs, and where orders are in force.

use serde_json::json;

use crate::browser::Browser;
use crate::engine::{World, await_answer};
use crate::orders::{self, Engines};
use crate::status::await_reports;

/// Waits until the part of the fleet shows a text.
#[track_caller]
fn shows(browser: &Browser, text: &str) {
    let script = "return document.querySelector('#fleet').textContent.includes(arguments[0])";
    browser.until_with(text, script, json!([text]));
}

#[test]
fn the_console_shows_all_servers_of_the_fleet() {
    let (world, engines) = (World::start(), Engines::start(1));
    let mut servers = orders::three(&world, &engines);
    await_reports(&servers);
    let browser = Browser::start(1280, 1500);
    browser.go(&format!(
        "http://{}/",
        servers[0].admin.expect("it has one")
    ));
    shows(&browser, "3 servers, all well");
    let rows = "return [...document.querySelectorAll('#fleet tbody tr')].map((row) => row.cells[0].textContent)";
    assert_eq!(browser.run(rows, json!([])), json!(["ams", "iad", "sin"]));
    world.fra.break_for(&["sin"]);
    shows(&browser, "sin says down for");
    orders::say(
        &servers[1],
        &["drain", "iad", "--reason", "new kernel", "--by", "ops"],
    );
    shows(
        &browser,
        "iad is drained by ops (new kernel): in force on all 3",
    );
    browser.keep_whole("console-fleet");
    world.fra.break_for(&[]);
    await_answer(&servers[2], crate::engine::FRA);
    drop(servers.pop());
    shows(&browser, "sin is silent");
    shows(&browser, "unknown on sin");
    browser.resize(360, 800);
    let wide = "return document.documentElement.scrollWidth <= 360";
    browser.until("a telephone shows all of it", wide);
    browser.is_calm();
}
