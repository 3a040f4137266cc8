//! Makes archives, shared objects and executables of object files, with the system's tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{read, write_file};
use crate::failure::Failure;

const LIBRARY: &str = "libbrolga_runtime_c.a";
const HEADER: &str = "brolga.h";

/// An archive with one object file, as `ar` makes it: with an index of its symbols.
pub fn archive(name: &str, object: &[u8]) -> Result<Vec<u8>, Failure> {
    tool("ar", "archive.a", name, object, |command, archive, object| {
        command.arg("crsD").arg(archive).arg(object);
        Ok(())
    })
}

/// A shared object of an object file. The runtime's symbols stay open: the host has them.
pub fn shared(linker: &str, object: &[u8]) -> Result<Vec<u8>, Failure> {
    tool(linker, "shared.so", "object.o", object, |command, shared, object| {
        command.arg("-shared").arg("-nostdlib").arg("-o").arg(shared).arg(object);
        Ok(())
    })
}

/// An executable of a C source, an object file and the runtime.
pub fn executable(
    linker: &str,
    runtime: &Runtime,
    source: &str,
    defines: &[String],
    object: &[u8],
) -> Result<Vec<u8>, Failure> {
    tool(linker, "executable", "object.o", object, |command, executable, object| {
        let main = object.with_file_name("main.c");
        write_file(&main, source.as_bytes())?;
        command.args(defines.iter().map(|define| format!("-D{define}"))).arg("-I").arg(&runtime.include);
        command.arg("-o").arg(executable).arg(main).arg(object).arg(&runtime.library);
        command.args(["-lpthread", "-ldl", "-lm"]);
        Ok(())
    })
}

/// What a tool makes of an object file, in a directory that is gone afterwards.
fn tool(
    program: &str,
    output: &str,
    input: &str,
    object: &[u8],
    arguments: impl FnOnce(&mut Command, &Path, &Path) -> Result<(), Failure>,
) -> Result<Vec<u8>, Failure> {
    let fail = |message: String| Failure::Tool { program: program.to_owned(), message };
    let directory = tempfile::tempdir().map_err(|error| fail(error.to_string()))?;
    let (input, output) = (directory.path().join(input), directory.path().join(output));
    write_file(&input, object)?;
    let mut command = Command::new(program);
    arguments(&mut command, &output, &input)?;
    let result = command.output().map_err(|error| fail(error.to_string()))?;
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        // The first line says what was wrong; the last one, that something was.
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(fail(format!("{}: {first}", result.status)));
    }
    read(&output)
}

/// Makes a file executable by whoever may read it.
pub fn make_executable(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let change = || {
        let mut permissions = std::fs::metadata(path)?.permissions();
        let mode = permissions.mode();
        permissions.set_mode(mode | (mode & 0o444) >> 2);
        std::fs::set_permissions(path, permissions)
    };
    change().map_err(|error| Failure::Write { path: path.to_owned(), error })
}

/// Where the runtime for C is.
pub struct Runtime {
    library: PathBuf,
    include: PathBuf,
}

impl Runtime {
    /// Finds the runtime: in a directory that was given, else in a checkout of Brolga's sources
    /// around this executable or the working directory, where cargo builds it.
    pub fn find(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(directory) = given {
            return Self::in_directory(directory).ok_or_else(|| {
                let directory = directory.display();
                Failure::Usage(format!("--runtime {directory}: no {LIBRARY} or no {HEADER} in it"))
            });
        }
        let places = [std::env::current_exe(), std::env::current_dir()];
        let checkout = places.iter().flatten().flat_map(|place| place.ancestors()).find(|directory| {
            directory.join("Cargo.toml").is_file()
                && directory.join("runtime/c/include").join(HEADER).is_file()
        });
        match checkout {
            Some(directory) => Self::build(directory),
            None => Err(Failure::Usage(format!(
                "the runtime for C was not found: in Brolga's sources, `cargo build --release -p brolga-runtime-c` \
                 makes {LIBRARY}; give its directory, with {HEADER} beside it, by --runtime"
            ))),
        }
    }

    /// The files side by side, or in `lib` and `include`, or as cargo leaves them in a checkout.
    fn in_directory(directory: &Path) -> Option<Self> {
        let find = |name: &str, folder: &str| {
            let places = [directory.join(name), directory.join(folder).join(name)];
            places.into_iter().find(|path| path.is_file())
        };
        let checkout = || {
            let root = directory.canonicalize().ok()?;
            let mut headers = root.ancestors().map(|folder| folder.join("runtime/c/include").join(HEADER));
            headers.find(|path| path.is_file())
        };
        let header = find(HEADER, "include").or_else(checkout)?;
        Some(Self { library: find(LIBRARY, "lib")?, include: header.parent()?.to_owned() })
    }

    /// Has cargo build the library, which knows where it puts it.
    fn build(checkout: &Path) -> Result<Self, Failure> {
        let fail = |message: String| Failure::Tool { program: "cargo build".to_owned(), message };
        let output = Command::new("cargo")
            .args([
                "build",
                "--release",
                "-p",
                "brolga-runtime-c",
                "--message-format",
                "json-render-diagnostics",
            ])
            .current_dir(checkout)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| fail(error.to_string()))?;
        if !output.status.success() {
            return Err(fail(output.status.to_string()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let files = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut files =
            files.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
        let library =
            files.find_map(|file| file.as_str().filter(|file| file.ends_with(LIBRARY)).map(PathBuf::from));
        let library = library.ok_or_else(|| fail(format!("it names no {LIBRARY}")))?;
        Ok(Self { library, include: checkout.join("runtime/c/include") })
    }
}
