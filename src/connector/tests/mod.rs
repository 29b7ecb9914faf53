#[test]
fn tmp() {
    let t = std::time::Instant::now();
    match super::Library::load(super::built_in(), Default::default()) { Ok(l) => println!("{} in {:?}", l.list().len(), t.elapsed()), Err(f) => { for f in f { println!("{f}"); } panic!() } }
    let t = std::time::Instant::now();
    super::Library::load(super::built_in(), Default::default()).unwrap();
    println!("again {:?}", t.elapsed());
}
