//! `hwm`: the program. All of it is in the library beside it, which the fuzz targets link as well.

fn main() -> std::process::ExitCode {
    hwm::main()
}
