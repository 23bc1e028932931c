//! Writes what is generated in `contracts/solidity/src/verifier/generated`.

use std::error::Error;
use std::path::Path;

use sidereal_final_proof::solidity;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../contracts/solidity/src/verifier/generated");
    std::fs::create_dir_all(&folder)?;
    for (name, source) in solidity::generated_files() {
        std::fs::write(folder.join(name), source)?;
    }
    Ok(())
}
