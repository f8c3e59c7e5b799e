//! Draws a forecast as a map of the world in SVG.
//!
//! Countries and cells have the colour of the region that serves most of them. Regions are markers
//! with their share.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::admin::WORLD;
use crate::foresight::{CountryForesight, Foresight};

/// Tenths of a degree to pixels; the map reaches from 84 degrees north to 58 degrees south.
const SCALE: f64 = 0.4;
const TOP: f64 = 840.0;
const WIDTH: u32 = 1440;
const HEIGHT: u32 = 568;

/// Colours that remain distinct with any kind of colour vision (Okabe and Ito, then Tol's muted
/// ones). The console uses the same.
const COLOURS: [&str; 16] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#332288",
    "#44aa99", "#882255", "#999933", "#cc6677", "#117733", "#aa4499", "#ddcc77", "#88ccee",
];

/// Countries as lists of rings, in steps of tenths of a degree.
type World = BTreeMap<String, Vec<Vec<i32>>>;

/// Draws the state after the change.
pub fn draw(foresight: &Foresight) -> Result<String, String> {
    let world: World = serde_json::from_str(WORLD)
        .map_err(|error| format!("the built-in map is damaged: {error}"))?;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#eef2f5\"/>\n",
        HEIGHT + 40,
        escaped(&foresight.summary)
    );
    for (code, rings) in &world {
        let country = foresight
            .countries
            .iter()
            .find(|country| country.country == *code);
        let fill = country
            .and_then(main)
            .map_or("#d5d9dd", |region| colour(foresight, region));
        let _ = writeln!(
            svg,
            "<path d=\"{}\" fill=\"{fill}\" stroke=\"#fff\" stroke-width=\".5\"/>",
            outline(rings)
        );
    }
    squares(foresight, &mut svg);
    markers(foresight, &mut svg);
    let _ = writeln!(
        svg,
        "<text x=\"20\" y=\"{}\" font-size=\"18\" fill=\"#1b1f23\">{}</text>\n</svg>",
        HEIGHT + 26,
        escaped(&foresight.summary)
    );
    Ok(svg)
}

/// The region that serves most of a country.
fn main(country: &CountryForesight) -> Option<&str> {
    let (region, _) = country.after.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
    Some(region)
}

fn colour(foresight: &Foresight, region: &str) -> &'static str {
    let at = foresight
        .regions
        .iter()
        .position(|known| known.region == region)
        .unwrap_or(0);
    COLOURS[at % COLOURS.len()]
}

fn outline(rings: &[Vec<i32>]) -> String {
    let mut path = String::new();
    for ring in rings {
        let (mut x, mut y) = (0, 0);
        for (index, step) in ring.chunks_exact(2).enumerate() {
            (x, y) = (x + step[0], y + step[1]);
            let (left, top) = at(f64::from(x), f64::from(y));
            let _ = write!(
                path,
                "{}{left:.1} {top:.1}",
                if index == 0 { 'M' } else { 'L' }
            );
        }
        path.push('Z');
    }
    path
}

/// Converts tenths of a degree east and north to pixels.
fn at(x: f64, y: f64) -> (f64, f64) {
    ((x + 1800.0) * SCALE, (TOP - y) * SCALE)
}

fn squares(foresight: &Foresight, svg: &mut String) {
    for cell in &foresight.cells {
        let Some(region) = &cell.after else { continue };
        let (x, y) = at(
            f64::from(cell.longitude) * 10.0 + 5.0,
            f64::from(cell.latitude) * 10.0 + 5.0,
        );
        let radius = (cell.addresses as f64).log10().clamp(3.0, 8.5) * 0.7 - 1.2;
        let fill = colour(foresight, region);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" \
             stroke=\"#fff\" stroke-width=\".6\"/>"
        );
    }
}

fn markers(foresight: &Foresight, svg: &mut String) {
    for region in &foresight.regions {
        let Some((latitude, longitude)) = region.latitude.zip(region.longitude) else {
            continue;
        };
        let (x, y) = at(longitude * 10.0, latitude * 10.0);
        let fill = colour(foresight, &region.region);
        let name = escaped(&region.region);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"{fill}\" stroke=\"#1b1f23\" stroke-width=\"2.5\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"16\" font-weight=\"bold\" fill=\"#1b1f23\" stroke=\"#fff\" \
             stroke-width=\"3\" paint-order=\"stroke\">{name} {:.1}%</text>",
            x + 12.0,
            y + 5.0,
            region.after_percent
        );
    }
}

/// Escapes text for XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
