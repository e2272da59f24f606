//! `egressd`; and `egressctl`, where it is called so. This file alone is shipped.

fn main() -> std::process::ExitCode {
    egress_agent::programs::main()
}
