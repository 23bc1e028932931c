//! Generates the gRPC code from `proto/`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new("../../proto");
    let packages = [
        "types",
        "gateway",
        "sequencer",
        "executor",
        "proofs",
        "aggregation",
        "events",
        "settlement",
    ];
    let files: Vec<_> =
        packages.iter().map(|name| root.join(format!("sidereal/{name}/v1/{name}.proto"))).collect();
    println!("cargo:rerun-if-changed={}", root.display());
    tonic_prost_build::configure().compile_protos(&files, &[root.to_path_buf()])?;
    Ok(())
}
