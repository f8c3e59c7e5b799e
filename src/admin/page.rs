//! The console: the web page for operators, which is part of the binary.
//!
//! Its files are embedded at build time and served as they are. A content security policy keeps the
//! page from loading anything from other servers and from running any script but its own.

use std::sync::Arc;

use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};

use super::context::AdminContext;

/// The outlines of the countries (Natural Earth); see geodata/README.md.
pub const WORLD: &str = include_str!("../../geodata/world.json");

/// One file of the page.
pub struct PageAsset {
    /// The path in the URL.
    pub path: &'static str,
    /// Its description.
    pub about: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    text: &'static str,
}

/// Every file of the page.
pub const ASSETS: [PageAsset; 15] = [
    PageAsset {
        path: "/",
        about: "The console",
        media_type: "text/html; charset=utf-8",
        text: include_str!("page/index.html"),
    },
    PageAsset {
        path: "/console/console.css",
        about: "The style of the console",
        media_type: "text/css; charset=utf-8",
        text: include_str!("page/console.css"),
    },
    script(
        "/console/console.js",
        "The main script of the console",
        include_str!("page/console.js"),
    ),
    script(
        "/console/state.js",
        "The state of the console, and its requests",
        include_str!("page/state.js"),
    ),
    script(
        "/console/address.js",
        "The console's view as a link",
        include_str!("page/address.js"),
    ),
    script(
        "/console/colours.js",
        "The colours of the console's regions",
        include_str!("page/colours.js"),
    ),
    script(
        "/console/map.js",
        "The console's map",
        include_str!("page/map.js"),
    ),
    script(
        "/console/shares.js",
        "The console's table of shares and what-if",
        include_str!("page/shares.js"),
    ),
    script(
        "/console/services.js",
        "The console's list of services",
        include_str!("page/services.js"),
    ),
    script(
        "/console/why.js",
        "The console's explanations",
        include_str!("page/why.js"),
    ),
    script(
        "/console/rules.js",
        "The console's rules of a service",
        include_str!("page/rules.js"),
    ),
    script(
        "/console/orders.js",
        "The console's overrides",
        include_str!("page/orders.js"),
    ),
    script(
        "/console/fleet.js",
        "The console's servers of a fleet",
        include_str!("page/fleet.js"),
    ),
    script(
        "/console/tables.js",
        "The console's tables",
        include_str!("page/tables.js"),
    ),
    PageAsset {
        path: "/console/world.json",
        about: "Outlines of the countries, in tenths of a degree",
        media_type: "application/json",
        text: WORLD,
    },
];

const fn script(path: &'static str, about: &'static str, text: &'static str) -> PageAsset {
    PageAsset {
        path,
        about,
        media_type: "text/javascript; charset=utf-8",
        text,
    }
}

/// Allows files of this server only, no inline script or style, and no frame around the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every file of the page.
const HEAD: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // After an upgrade the files differ.
    (header::CACHE_CONTROL, "no-cache"),
];

impl PageAsset {
    /// The handler that serves this file.
    pub fn handler(&'static self) -> MethodRouter<Arc<AdminContext>> {
        routing::get(move || async move { self.response() })
    }

    fn response(&self) -> Response {
        (HEAD, [(header::CONTENT_TYPE, self.media_type)], self.text).into_response()
    }
}

#[cfg(test)]
mod colour_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_has_nothing_from_elsewhere() {
        let octets: usize = ASSETS.iter().map(|asset| asset.text.len()).sum();
        assert!(octets < 400_000, "{octets}");
        for asset in ASSETS
            .iter()
            .filter(|asset| asset.path != "/console/world.json")
        {
            for word in [
                "http://",
                "https://",
                "<style",
                "style=",
                "onclick",
                "innerHTML",
                "eval(",
            ] {
                let own = asset.text.replace("http://www.w3.org/2000/svg", "");
                assert!(!own.contains(word), "{} holds {word}", asset.path);
            }
        }
    }

    #[test]
    fn the_world_is_whole() {
        let world: std::collections::BTreeMap<String, Vec<Vec<i32>>> =
            serde_json::from_str(WORLD).unwrap();
        assert!(world.len() > 170 && world.contains_key("FR") && world.contains_key("NO"));
        for (code, rings) in &world {
            for ring in rings {
                assert!(ring.len() >= 6 && ring.len() % 2 == 0, "{code}");
                let (mut x, mut y) = (0, 0);
                for step in ring.chunks(2) {
                    (x, y) = (x + step[0], y + step[1]);
                    assert!(
                        (-1800..=1800).contains(&x) && (-900..=900).contains(&y),
                        "{code}: {x} {y}"
                    );
                }
            }
        }
    }
}
