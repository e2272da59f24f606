//! On the machine's own root, in a mount namespace where everything that may change is a copy, and
//! the service manager is a script that keeps what it is told.

use super::*;

/// `$1`: the directory of the programs, `$2`: a directory of the test's own, `$3`: what to do.
const SCRIPT: &str = r#"set -eu
mount --make-rprivate /
for place in /etc /var/lib; do
    mkdir -p "$2$place"
done
cp -a /etc/. "$2/etc/"
sed -i /^egressd:/d "$2/etc/group"
mount --bind "$2/etc" /etc
rm -rf /etc/egressd
mount --bind "$2/var/lib" /var/lib
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/state
mount -t tmpfs tmpfs /sys/fs/bpf
mount -t tmpfs tmpfs /usr/local/bin
for program in egressd egressctl; do
    touch "/usr/local/bin/$program"
    mount --bind "$1/$program" "/usr/local/bin/$program"
done
mount -t tmpfs tmpfs /usr/local/sbin
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/sh
echo "systemctl $*" >>/run/state/told
case "$1" in
is-enabled | is-active) [ -e /run/state/enabled ] ;;
enable) touch /run/state/enabled ;;
disable) rm -f /run/state/enabled ;;
esac
END
cat >/usr/local/sbin/systemd-sysusers <<'END'
#!/bin/sh
echo systemd-sysusers >>/run/state/told
groupadd --system egressd
END
chmod 755 /usr/local/sbin/*
mkdir -p /run/home/.claude /run/empty
cd /run/empty
export HOME=/run/home PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
eval "$3"
"#;

/// Does lines of a shell in such a place.
#[track_caller]
fn within(lines: &str) -> Said {
    let directory = tempfile::tempdir().expect("a directory");
    let programs = Path::new(env!("CARGO_BIN_EXE_egressctl")).parent();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .args([programs.expect("a directory"), directory.path()])
        .arg(lines)
        .stdin(Stdio::null())
        .output()
        .expect("unshare(1) is there");
    said(&output)
}

#[test]
fn the_service_is_started_with_the_first_and_told_of_later_changes() {
    let done = within(
        "find /etc | sort >/run/before
        egressctl init --yes || [ $? = 1 ]
        grep -q 'ExecStart=/usr/local/bin/egressd run' /etc/systemd/system/egressd.service
        grep -q '/usr/local/bin/egressctl hook claude' /run/home/.claude/settings.json
        echo told; cat /run/state/told; : >/run/state/told
        egressctl init --yes || [ $? = 1 ]
        echo again; grep -v ' is-' /run/state/told || echo nobody; : >/run/state/told
        egressctl init --yes --replace --mode observe >/run/out || [ $? = 1 ]
        echo changed; grep -v ' is-' /run/state/told; : >/run/state/told
        egressctl uninstall --yes
        echo gone; grep -v ' is-' /run/state/told
        find /etc | sort >/run/after
        diff /run/before /run/after
        if grep ^egressd: /etc/group || [ -e /var/lib/egressd ] || [ -e /run/egressd ]; then exit 8; fi
        if [ -n \"$(ls -A /run/home/.claude)\" ]; then exit 9; fi
        echo end",
    );
    done.ends(0);
    let parts: Vec<&str> = ["told\n", "again\n", "changed\n", "gone\n", "end\n"]
        .iter()
        .scan(done.out.as_str(), |rest, mark| {
            let (before, after) = rest.split_once(&format!("\n{mark}"))?;
            *rest = after;
            Some(before)
        })
        .collect();
    let [_, told, again, changed, gone] = parts[..] else {
        panic!("{}", done.all);
    };
    assert!(
        told.contains(
            "systemd-sysusers\nsystemctl daemon-reload\nsystemctl enable --now egressd.service"
        ),
        "{told}"
    );
    assert!(told.contains("Nothing had to be changed"), "{told}");
    assert_eq!(again, "nobody", "was told of the second run");
    assert!(
        changed.contains("systemctl reload egressd.service"),
        "{changed}"
    );
    assert!(!changed.contains("systemctl restart"), "{changed}");
    assert!(
        gone.contains("systemctl disable --now egressd.service"),
        "{gone}"
    );
    assert!(gone.contains("systemctl daemon-reload"), "{gone}");
}

#[test]
fn a_service_manager_that_fails_is_told_with_what_was_done() {
    let done = within(
        "printf '#!/bin/sh\\ncase $1 in is-*) exit 1;; esac\\necho \"no bus\" >&2\\nexit 1\\n' \
            >/usr/local/sbin/systemctl
        egressctl init --yes",
    );
    done.ends(2)
        .says("stopped half-way")
        .says("/etc/systemd/system/egressd.service")
        .says("no bus")
        .says("egressctl uninstall");
}

#[test]
fn without_root_it_says_how_and_a_look_is_free() {
    let done = within(
        "chmod 755 /run/home
        cd /run/home
        setpriv --reuid 65534 --regid 65534 --clear-groups egressctl init --yes && exit 7
        setpriv --reuid 65534 --regid 65534 --clear-groups egressctl init --dry-run
        setpriv --reuid 65534 --regid 65534 --clear-groups egressctl uninstall
        find /etc/egressd /run/home",
    );
    done.says("run it with sudo").says("Nothing was changed");
    done.says("what root has installed, sudo takes back");
    assert!(!done.all.contains("settings.json\n/"), "{}", done.all);
}
