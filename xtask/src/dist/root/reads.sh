#!/bin/sh
# What the package brings, read by what reads it: manual pages, completions, Debian's checker.
. /opt/checks/checks.sh
exec 3>&1

# The checks.
the_package_installs() {
    dpkg -i --force-depends /opt/checks/0.deb
}
every_manual_page_is_well_written() {
    cd /usr/share/man
    pages=$(find . -name 'egress*.gz')
    for page in $pages; do
        zcat "$page" >/tmp/page
        mandoc -T lint -W warning /tmp/page >>/tmp/lint || true
        warned=$(man --warnings --encoding=UTF-8 --local-file /tmp/page 2>&1 >/dev/null)
        [ -z "$warned" ]
        # Rendered, it has its sections.
        mandoc -T utf8 /tmp/page | col -b | grep -q '^NAME'
    done
    # clap_mangen breaks lines where they end anyway.
    not grep -v 'skipping paragraph macro: br' /tmp/lint
    man --path egressd 2>/dev/null || true
    man -w 8 egressd
    man -w 1 egressctl-policy-check
    man 1 egressctl | grep -q 'egressctl-why(1)'
    echo "note: $(echo "$pages" | wc -l) pages"
}
bash_completes() {
    [ "$(bash -c '. /usr/share/bash-completion/bash_completion
        . /usr/share/bash-completion/completions/egressctl
        COMP_WORDS=(egressctl sta); COMP_CWORD=1; _egressctl egressctl sta egressctl
        echo "${COMPREPLY[@]}"')" = status ]
}
zsh_completes() {
    zsh -f -c 'fpath=(/usr/share/zsh/vendor-completions $fpath); autoload -Uz compinit; compinit -u -d /tmp/zcomp
        [ "$_comps[egressctl]" = _egressctl ] && [ "$_comps[egressd]" = _egressd ] && autoload +X _egressctl && zsh -n /usr/share/zsh/vendor-completions/_egressctl'
}
fish_completes() {
    fish --no-config -c 'source /usr/share/fish/vendor_completions.d/egressctl.fish; complete -C "egressctl stat"' | grep -q '^status'
}
debians_checker_finds_nothing_to_mend() {
    # No archive takes it, so it closes no bug. What is asked of systemctl has no helper of Debian's:
    # reading units again, ending the slice, taking a link away that the package did not make.
    lintian --allow-root --tag-display-limit 0 --fail-on error,warning \
        --suppress-tags initial-upload-closes-no-bugs,maintainer-script-calls-systemctl /opt/checks/0.deb
}

check_all
