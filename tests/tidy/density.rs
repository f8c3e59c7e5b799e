//! How dense the source is, beside code that its field reads with ease.
//!
//! The bounds are aims for readers. A chain of combinators, a closure with a name and a type of one word are each
//! fine where they read well; too many of them together are what a newcomer trips over.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Expr, ExprMethodCall, Item, Local, Visibility};

use super::expect_none;
use super::parsed::{Module, modules};

/// Methods that turn one sequence or option into another.
const COMBINATORS: [&str; 17] = [
    "map",
    "filter",
    "filter_map",
    "flat_map",
    "for_each",
    "fold",
    "find_map",
    "zip",
    "chain",
    "take_while",
    "skip_while",
    "scan",
    "partition",
    "flatten",
    "try_fold",
    "try_for_each",
    "and_then",
];

/// Combinators in a thousand lines of code.
const MOST_COMBINATORS: f64 = 25.0;
/// Closures that a variable keeps, in a thousand lines of code.
const MOST_NAMED_CLOSURES: f64 = 0.4;
/// The share of public types whose name is one word.
const MOST_ONE_WORD_TYPES: f64 = 0.35;
/// Characters of a function, in the middle. The aim is 200; this bound may only fall.
const MEDIAN_FUNCTION: usize = 225;

#[test]
fn combinators_are_few() {
    let mut count = 0;
    let mut lines = 0;
    for module in modules().values() {
        count += Calls::of(module).combinators;
        lines += module.code_lines;
    }
    let found = per_thousand(count, lines);
    assert!(
        found <= MOST_COMBINATORS,
        "{found:.1} combinators in a thousand lines"
    );
}

#[test]
fn closures_have_no_names() {
    let mut count = 0;
    let mut lines = 0;
    for module in modules().values() {
        count += Calls::of(module).named_closures;
        lines += module.code_lines;
    }
    let found = per_thousand(count, lines);
    assert!(
        found <= MOST_NAMED_CLOSURES,
        "{found:.2} named closures in a thousand lines"
    );
}

#[test]
fn functions_are_short_to_read() {
    let mut sizes: Vec<usize> = Vec::new();
    for module in modules().values() {
        sizes.extend(module.function_sizes());
    }
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    assert!(
        median <= MEDIAN_FUNCTION,
        "{median} characters in the middle"
    );
}

#[test]
fn types_have_two_words() {
    let names = public_types();
    let one_word = names.iter().filter(|(name, _)| words_in(name) == 1).count();
    let share = one_word as f64 / names.len() as f64;
    assert!(
        share <= MOST_ONE_WORD_TYPES,
        "{share:.2} of the public types have one word"
    );
}

#[test]
fn no_two_public_types_share_a_name() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, file) in public_types() {
        files.entry(name).or_default().push(file);
    }
    let mut found = Vec::new();
    for (name, files) in files {
        if files.len() > 1 {
            found.push(format!("{name}: {}", files.join(", ")));
        }
    }
    expect_none(found, "a name means one thing in the whole crate");
}

fn per_thousand(count: usize, lines: usize) -> f64 {
    1000.0 * count as f64 / lines as f64
}

fn words_in(name: &str) -> usize {
    name.chars().filter(char::is_ascii_uppercase).count()
}

/// The name of every type, trait and alias that a module shows to another, and its file.
fn public_types() -> Vec<(String, String)> {
    let mut types = Vec::new();
    for module in modules().values() {
        for item in &module.tree.items {
            if let Some(name) = public_type(item) {
                types.push((name, module.file.clone()));
            }
        }
    }
    types
}

fn public_type(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        Item::Union(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    match visibility {
        Visibility::Inherited => None,
        _ => Some(name.to_string()),
    }
}

#[derive(Default)]
struct Calls {
    combinators: usize,
    named_closures: usize,
}

impl Calls {
    fn of(module: &Module) -> Calls {
        let mut calls = Calls::default();
        calls.visit_file(&module.tree);
        calls
    }
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if COMBINATORS.contains(&call.method.to_string().as_str()) {
            self.combinators += 1;
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let Some(init) = &local.init
            && matches!(*init.expr, Expr::Closure(_))
        {
            self.named_closures += 1;
        }
        visit::visit_local(self, local);
    }
}
