//! `egressctl` in a file of its own, for those who build it; a package has a link instead.

fn main() -> std::process::ExitCode {
    egress_agent::programs::Program::Egressctl.main()
}
