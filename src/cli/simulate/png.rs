//! Renders an SVG drawing as PNG, with fonts of our own.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels per unit of the drawing, enough for print.
const SCALE: f32 = 2.0;
/// DejaVu Sans, regular and bold, since the system may have no fonts.
const FACES: [&[u8]; 2] = [
    include_bytes!("fonts/regular.ttf"),
    include_bytes!("fonts/bold.ttf"),
];

/// Renders an SVG as PNG.
pub fn render(svg: &str) -> Result<Vec<u8>, String> {
    let tree = Tree::from_str(svg, &options_with_fonts()).map_err(failure)?;
    let [width, height] =
        [tree.size().width(), tree.size().height()].map(|length| (length * SCALE).ceil() as u32);
    let mut pixels = Pixmap::new(width, height).ok_or_else(|| failure("it has no size"))?;
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().map_err(failure)
}

fn options_with_fonts() -> Options<'static> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    for face in FACES {
        fonts.load_font_data(face.to_vec());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    options
}

fn failure(reason: impl std::fmt::Display) -> String {
    format!("the map cannot be drawn as PNG: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_letters_are_there() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 40 20\" font-family=\"sans-serif\">\
                   <rect width=\"20\" height=\"20\" fill=\"#0072b2\"/><text x=\"21\" y=\"18\" font-size=\"20\">M</text></svg>";
        let pixels = Pixmap::decode_png(&render(svg).unwrap()).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (80, 40));
        let at = |x, y| {
            pixels
                .pixel(x, y)
                .map(|pixel| (pixel.red(), pixel.green(), pixel.blue(), pixel.alpha()))
        };
        assert_eq!(at(10, 10), Some((0, 0x72, 0xb2, 255)));
        let inked = (42..80)
            .flat_map(|x| (0..40).map(move |y| (x, y)))
            .filter(|(x, y)| at(*x, *y) == Some((0, 0, 0, 255)));
        assert!(inked.count() > 50, "a letter");
        assert!(
            render("<svg")
                .unwrap_err()
                .starts_with("the map cannot be drawn as PNG: ")
        );
    }
}
