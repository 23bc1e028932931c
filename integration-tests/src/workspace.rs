//! The folder of one scenario.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A temporary folder with everything that a scenario's processes write.
pub struct Workspace {
    folder: PathBuf,
}

/// Runs a scenario in a new folder. The folder is removed when the scenario has passed; otherwise it stays, and the
/// failure says where it is.
pub async fn within<S>(name: &str, scenario: S) -> anyhow::Result<()>
where
    S: AsyncFnOnce(&Workspace) -> anyhow::Result<()>,
{
    let folder = tempfile::Builder::new()
        .prefix(&format!("sidereal-{name}-"))
        .tempdir()
        .context("making the folder of the scenario")?
        .keep();
    let workspace = Workspace { folder };
    scenario(&workspace)
        .await
        .with_context(|| format!("{name}; its logs are in {}", workspace.folder.display()))?;
    std::fs::remove_dir_all(&workspace.folder)
        .with_context(|| format!("removing {}", workspace.folder.display()))
}

impl Workspace {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that what a failed scenario wrote can be read afterwards, and what a passed one wrote is gone.
    #[tokio::test]
    async fn a_failed_scenario_keeps_its_folder() {
        let mut folder = PathBuf::new();
        let error = within("kept", async |workspace| {
            folder = workspace.folder("logs")?;
            anyhow::bail!("as meant")
        })
        .await
        .unwrap_err();
        assert!(folder.is_dir());
        assert!(format!("{error:#}").contains("as meant"));
        std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();

        within("removed", async |workspace| {
            folder = workspace.folder("logs")?;
            Ok(())
        })
        .await
        .unwrap();
        assert!(!folder.exists());
    }
}
