// The colours of regions. A region has the same colour in every service, by its position in the sorted list of all regions.

// The first seven are from Okabe and Ito. The others have the greatest possible distance to those, to each other and to
// the other colours of the map, for every kind of colour vision; `page/colour_tests.rs` has the figures. The first ones
// differ most.
export const COLOURS = [
  "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#780078",
  "#00ffd2", "#2d2db4", "#b41e4b", "#87c396", "#785ae1", "#693c1e", "#b478ff", "#00694b",
  "#ffa5c3", "#875a78", "#b43ca5", "#4be169", "#965a00", "#3ce1ff", "#7887d2", "#ff5a69",
];

let regions = [];

// Assigns a colour to each region of the server.
export function colourRegions(names) {
  regions = [...names].sort();
}

// The colour of a region; empty without a region. With more regions than colours, colours repeat.
export function colourOf(name) {
  const at = regions.indexOf(name);
  return at < 0 ? "" : COLOURS[at % COLOURS.length];
}
