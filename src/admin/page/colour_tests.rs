//! Tests that the colours of the page are distinct and its text is readable, in light and dark.

use super::ASSETS;

type Colour = [f64; 3];
type Matrix = [Colour; 3];

/// The themes of the style sheet: where each begins, and where it ends.
const LIGHT: (&str, &str) = (":root {", "@media");
const DARK: (&str, &str) = ("scheme: dark) {", "* {");

/// The transformation of light for people who lack one kind of cones (Machado, Oliveira,
/// Fernandes: 2009, severity 1.0).
const PROTANOPIA: Matrix = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
];
const DEUTERANOPIA: Matrix = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
];
const TRITANOPIA: Matrix = [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.303900],
];

fn text_of(path: &str) -> &'static str {
    ASSETS
        .iter()
        .find(|asset| asset.path == path)
        .expect("it is an asset")
        .text
}

fn between<'t>(text: &'t str, (start, end): (&str, &str)) -> &'t str {
    text.split_once(start)
        .and_then(|(_, rest)| rest.split_once(end))
        .expect("it is in the text")
        .0
}

/// `0072b2...` as light (IEC 61966-2-1): red, green and blue, 0.0..=1.0. `fff` is short for
/// `ffffff`.
fn light_of(hex: &str) -> Colour {
    let digits: Vec<u32> = hex.chars().map_while(|digit| digit.to_digit(16)).collect();
    let octets = match digits[..] {
        [red, green, blue] => [red * 17, green * 17, blue * 17],
        [a, b, c, d, e, f] => [a * 16 + b, c * 16 + d, e * 16 + f],
        _ => panic!("{hex:?} is no colour"),
    };
    octets.map(|octet| {
        let part = f64::from(octet) / 255.0;
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    })
}

/// A colour of a theme: `--ink`
fn of_theme(theme: (&str, &str), variable: &str) -> Colour {
    let theme = between(text_of("/console/console.css"), theme);
    light_of(between(theme, (&format!("{variable}: #"), ";")))
}

fn times(matrix: &Matrix, colour: Colour) -> Colour {
    matrix.map(|row| {
        row.iter()
            .zip(colour)
            .map(|(factor, part)| factor * part)
            .sum()
    })
}

/// OKLab (Ottosson, 2020), in which distances are what people see.
fn seen(light: Colour) -> Colour {
    const CONES: Matrix = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ];
    const LAB: Matrix = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ];
    times(&LAB, times(&CONES, light).map(f64::cbrt))
}

fn distance(one: Colour, other: Colour) -> f64 {
    one.iter()
        .zip(other)
        .map(|(one, other)| (one - other).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// The least distance between two of them.
fn least(colours: &[Colour]) -> f64 {
    let pairs = (0..colours.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
    pairs
        .map(|(one, other)| distance(colours[one], colours[other]))
        .fold(f64::INFINITY, f64::min)
}

/// The colours of regions, as light.
fn regions() -> Vec<Colour> {
    let listed = between(text_of("/console/colours.js"), ("COLOURS = [", "]"));
    listed.split('#').skip(1).map(light_of).collect()
}

#[test]
fn twenty_four_regions_can_be_told_apart() {
    let all: Vec<Colour> = regions().into_iter().map(seen).collect();
    assert_eq!(all.len(), 24);
    assert!(least(&all) > 0.115, "{}", least(&all));
    assert!(least(&all[..8]) > 0.15, "{}", least(&all[..8]));
}

/// A distance of 0.02 is just visible between two adjacent colours.
#[test]
fn regions_can_be_told_apart_by_people_who_see_fewer_colours() {
    for (matrix, of_all, of_eight) in [
        (PROTANOPIA, 0.06, 0.09),
        (DEUTERANOPIA, 0.06, 0.075),
        (TRITANOPIA, 0.044, 0.085),
    ] {
        let colours: Vec<Colour> = regions()
            .into_iter()
            .map(|light| seen(times(&matrix, light).map(|part| part.clamp(0.0, 1.0))))
            .collect();
        assert!(least(&colours) > of_all, "{}", least(&colours));
        assert!(least(&colours[..8]) > of_eight, "{}", least(&colours[..8]));
    }
}

#[test]
fn no_region_looks_like_sea_land_or_unserved_in_light_or_dark() {
    for theme in [LIGHT, DARK] {
        for variable in ["--sea", "--land", "--unserved"] {
            let other = seen(of_theme(theme, variable));
            let nearest = regions()
                .into_iter()
                .map(|light| distance(seen(light), other))
                .fold(f64::INFINITY, f64::min);
            assert!(nearest > 0.09, "{theme:?} {variable}: {nearest}");
        }
    }
}

/// WCAG 2.2, 1.4.3: 4.5 to 1.
#[test]
fn every_word_can_be_read_on_what_lies_under_it() {
    let luminance = |light: Colour| 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
    for theme in [LIGHT, DARK] {
        for word in ["--ink", "--faint", "--good", "--bad", "--odd", "--link"] {
            for under in ["--paper", "--card"] {
                let [one, other] =
                    [word, under].map(|variable| luminance(of_theme(theme, variable)) + 0.05);
                let contrast = one.max(other) / one.min(other);
                assert!(contrast >= 4.5, "{theme:?} {word} on {under}: {contrast}");
            }
        }
    }
}
