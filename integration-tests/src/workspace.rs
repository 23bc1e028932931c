//! The folder of one test.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A temporary folder that is removed when the test has passed, and stays when it has not.
pub struct Workspace {
    folder: PathBuf,
}

impl Workspace {
    /// A new folder, named after the test.
    pub fn new(test: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("sidereal-{test}-"))
            .tempdir()
            .context("making the folder of the test")?
            .keep();
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A folder in it, made if it is missing.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the logs of this test are in {}", self.folder.display());
        } else {
            // What is left behind is in the system's temporary folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
