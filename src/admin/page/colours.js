// One colour for a region, whatever service it is in: its place among the names of all regions, in order, says which.

// The first seven are Okabe's and Ito's. The others are as far from those, from each other and from what else is on the
// map as can be, as people with any kind of colour vision see them; `page.rs` has the figures. The first ones differ most.
export const COLOURS = [
  "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#780078",
  "#00ffd2", "#2d2db4", "#b41e4b", "#87c396", "#785ae1", "#693c1e", "#b478ff", "#00694b",
  "#ffa5c3", "#875a78", "#b43ca5", "#4be169", "#965a00", "#3ce1ff", "#7887d2", "#ff5a69",
];

let regions = [];

// Told the names of all regions that the server has.
export function colourRegions(names) {
  regions = [...names].sort();
}

// Empty for nobody. More regions than colours begin anew, and are told apart by their names.
export function colourOf(name) {
  const at = regions.indexOf(name);
  return at < 0 ? "" : COLOURS[at % COLOURS.length];
}
