#!/usr/bin/env bash
# The main job on real photographs: enrol, verify, identify, and refuse. Run it with `make demo`.
#
# Every command is printed before it runs, and its exit status after it. The script fails if one status is not the
# expected one, so it is a test as well. The gallery lives in a temporary folder, and your configuration file is not read.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
photographs=${1:?usage: demo.sh FOLDER_OF_PHOTOGRAPHS}
FACECLI_GALLERY=$(mktemp -d)/gallery
FACECLI_CONFIG=/dev/null
export FACECLI_GALLERY FACECLI_CONFIG
trap 'rm -rf "$(dirname "$FACECLI_GALLERY")"' EXIT
cd "$photographs" || exit 1

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

# expect STATUS COMMAND...: show the command, run it, and insist on its exit status.
expect() {
    local wanted=$1
    shift
    printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@" 2>&1
    local status=$?
    printf '%s[exit status %d]%s\n' "$dim" "$status" "$plain"
    if [ "$status" -ne "$wanted" ]; then
        printf 'demo: expected exit status %d\n' "$wanted" >&2
        exit 1
    fi
}

say() { printf '\n%s# %s%s\n' "$dim" "$*" "$plain"; }

say 'Enrol three people, each from one photograph. No training: they can be recognised at once.'
expect 0 facecli enroll macron person_a_1.jpg
expect 0 facecli enroll ardern person_b_1.jpg
expect 0 facecli enroll obama impostor_1.jpg
expect 0 facecli gallery list

say 'A mated pair: the same man, eleven years apart.'
expect 0 facecli verify -- person_a_1.jpg person_a_2.jpg

say 'A non-mated pair is refused: exit status 1, and only 0 opens a door.'
expect 1 facecli verify -- person_a_1.jpg impostor_1.jpg

say 'A claim against an enrolled person.'
expect 0 facecli verify --as ardern -- person_b_2.jpg

say 'Who is this? (another photograph than the one enrolled)'
expect 0 facecli identify --top 5 -- person_b_2.jpg

say 'A stranger is unknown, however similar the most similar person is.'
expect 1 facecli identify --top 5 -- impostor_2.jpg

say 'The same face under a second name is refused.'
expect 1 facecli enroll mallory person_a_2.jpg

say 'Where the faces are, and how a photograph ends that is not there.'
expect 0 facecli detect person_a_1.jpg
expect 7 facecli verify -- person_a_1.jpg no-such-file.jpg

say 'That is all: `facecli --help` goes on. The photographs are no part of facecli; their credits:'
cat "$here/credits.txt"
