//! The states of a repository in which work must be saved.

/// A state: where, how it came to be.
pub(crate) type State = (&'static str, &'static str);

/// Each is a script of the shell in `repo/`, which has a committed file `a`.
pub(crate) const STATES: &[State] = &[
    ("unstaged", "echo more >>a"),
    ("staged", "echo more >>a; git add a"),
    ("staged and unstaged", "echo one >>a; git add a; echo two >>a"),
    ("staged and taken back", "echo one >>a; git add a; git show HEAD:a >a"),
    ("staged, then gone", "echo x >new; git add new; rm new"),
    ("untracked", "mkdir d; echo x >d/new; echo y >'b c'; echo z >z.ignored; echo '*.ignored' >.gitignore"),
    ("removed", "rm a"),
    ("removed from the index only", "git rm -q --cached a"),
    ("removed from both", "git rm -q a; echo x >b"),
    ("renamed", "git mv a b; echo x >>b"),
    ("mode", "chmod +x a"),
    ("links", "ln -s /etc/passwd l; ln -s nowhere m; git add m; rm a; ln -s b a"),
    ("file becomes directory", "rm a; mkdir a; echo x >a/b"),
    ("directory becomes file", "mkdir d; echo x >d/f; git add d; git commit -qm d; rm -r d; echo y >d"),
    (
        "directory becomes link",
        "mkdir d e; echo x >d/f; git add d; git commit -qm d; rm -r d; ln -s e d; echo y >e/f",
    ),
    (
        "odd names",
        "printf x >\"$(printf 'n\\nl')\"; echo x >'\"q\"'; echo x >\"$(printf 'caf\\351')\"; echo x >'back\\slash'; echo x >' lead'; echo x >:x; echo x >-f; git add -- -f; printf '\\033' >\"$(printf '\\033[2J')\"",
    ),
    ("unborn", "git checkout -q --orphan new; echo x >b; echo y >>a"),
    ("unborn, nothing staged", "git checkout -q --orphan new; git rm -q --cached a; echo x >b"),
    ("detached", "git checkout -q --detach; echo x >>a"),
    ("intent to add", "echo x >b; git add -N b; echo y >>a"),
    ("split index", "git update-index --split-index; echo x >b; git add b; echo y >>a"),
    ("no index", "echo x >b; rm .git/index"),
    ("index.lock is there", "echo x >b; git add b; echo y >>a; : >.git/index.lock"),
    ("a broken index", "echo x >b; git add b; echo y >>a; printf DIRCgarbage >.git/index"),
    (
        "line ends",
        "git config core.safecrlf true; git config core.autocrlf input; printf 'a\\r\\nb\\n' >b; echo x >>a",
    ),
    (
        "a hook that refuses",
        "git config core.hooksPath h; mkdir h; printf '#!/bin/sh\\ntouch h/ran\\nexit 1\\n' >h/post-index-change; chmod +x h/post-index-change; echo x >>a",
    ),
    (
        "a filter that is required and fails",
        "echo '*.f filter=f' >.gitattributes; git config filter.f.clean false; git config filter.f.required true; echo x >1.f; echo y >2.f; echo z >3",
    ),
    (
        "a tracked file with such a filter",
        "echo x >1.f; git add 1.f; git commit -qm f; echo '*.f filter=f' >.gitattributes; git config filter.f.clean false; git config filter.f.required true; echo y >1.f; echo z >3",
    ),
    (
        "fsmonitor and untracked cache",
        "git config core.fsmonitor true; git config core.untrackedCache true; git update-index --untracked-cache; echo x >b; echo y >>a",
    ),
    (
        "changed within the same tick",
        "git config core.trustctime false; git config core.checkStat minimal; echo one >r; touch -d 2020-01-01 r
         git add r; git commit -qm r; echo two >r; touch -d 2020-01-01 r .git/index",
    ),
    (
        "pathspec settings and odd configuration",
        "git config status.showUntrackedFiles no; git config status.renames copies; git config diff.noprefix true; git config commit.gpgSign true; git config user.useConfigOnly true; git config core.quotePath false; git config status.relativePaths false; git mv a b; echo x >c",
    ),
];

/// Conflicts, in which the index has no tree of its own.
pub(crate) const CONFLICTS: &[State] = &[
    (
        "merge",
        "git checkout -qb o; echo o >a; echo o >b; git add b; git commit -qam o; git checkout -q main; echo m >a; git commit -qam m; git merge -q o",
    ),
    (
        "merge, resolved by hand but not added",
        "git checkout -qb o; echo o >a; git commit -qam o; git checkout -q main; echo m >a; git commit -qam m; git merge -q o; echo both >a",
    ),
    (
        "rebase",
        "git checkout -qb o; echo o >a; git commit -qam o; git checkout -q main; echo m >a; git commit -qam m; git rebase -q o; echo x >u",
    ),
    (
        "deleted here, changed there",
        "git checkout -qb o; echo o >a; git commit -qam o; git checkout -q main; git rm -q a; git commit -qm m; git merge -q o; rm a",
    ),
    (
        "added twice",
        "git checkout -qb o; echo o >b; git add b; git commit -qm o; git checkout -q main; echo m >b; git add b; git commit -qm m; git merge -q o; rm b",
    ),
    (
        "a file and a directory",
        "git checkout -qb o; mkdir d; echo o >d/x; git add d; git commit -qm o; git checkout -q main; echo m >d; git add d; git commit -qm m; git merge -q o",
    ),
];
