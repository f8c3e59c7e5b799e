//! Replays the fuzzers' inputs on the ordinary compiler.

use std::path::Path;

#[test]
fn no_input_of_the_corpora_panics() {
    for (name, target) in meridian::fuzzing::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let files = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            let file = file.unwrap().path();
            println!("{}", file.display());
            target(&std::fs::read(&file).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
    }
}
