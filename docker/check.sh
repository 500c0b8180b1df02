#!/bin/bash
# Build the targets of the Dockerfile without a Docker engine, and run in them what they are for: the commands of
# `make demo` in `train`, and `embed` on the demo's recordings in `embed`, each as the user without rights and without a
# network. Needs root, and Debian's buildah and debootstrap.
#
#   docker/check.sh [FOLDER]            work in FOLDER (default: a temporary one, removed at the end)
#   BUILD_OPTIONS="..." docker/check.sh  more options for `buildah build`, such as a certificate of your own
#   DEMO_RECORDS=120 docker/check.sh    a shorter demo
#   CUDA=1 docker/check.sh              also build train-cuda, and run the demo in it, on the CPU where there is no GPU
set -euo pipefail
cd "$(dirname "$0")/.."

work=${1:-$(mktemp --directory)}
[ $# -gt 0 ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
base=localhost/ecg-advmask-base

say() { printf '\n== %s\n' "$*"; }

# run TARGET COMMAND...: in a new container of the target, with the folder of data at /data, as the image's user.
run() {
    local container
    container=$(buildah from "localhost/ecg-advmask:$1")
    shift
    buildah run --network none --volume "$work/data:/data" "$container" -- "$@"
    buildah rm "$container" > /dev/null
}

if ! buildah inspect --type image "$base" > /dev/null 2>&1; then
    say "base image"
    [ -d "$work/base" ] || debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base"
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$work/base" /
    buildah commit --quiet --rm "$container" "$base"
fi

trains=train${CUDA:+ train-cuda}
for target in embed $trains; do
    say "target $target"
    # shellcheck disable=SC2086  # several options
    buildah build --quiet --build-arg BASE="$base" ${BUILD_OPTIONS:-} --target "$target" --tag "ecg-advmask:$target" .
    buildah images --format '{{.Name}}:{{.Tag}} {{.Size}}' "localhost/ecg-advmask:$target"
done

rm -rf "$work/data"
mkdir -p "$work/data"
chown 1000:1000 "$work/data"

make --dry-run --old-file=.venv/installed demo ADVMASK=ecg-advmask DEMO=demo DEMO_RECORDS="${DEMO_RECORDS:-400}" \
    > "$work/data/demo.sh"
for target in $trains; do
    say "the demo in $target"
    run "$target" sh -ex demo.sh
done

say "embed in embed"
run embed ecg-advmask embed demo/encoder.onnx demo/raw/cinc2021/training --out again.npz
run embed python3 -c '
import importlib.util, numpy
assert importlib.util.find_spec("tensorflow") is None
with numpy.load("demo/embeddings.npz") as one, numpy.load("again.npz") as other:
    numpy.testing.assert_array_equal(one["ids"], other["ids"])
    numpy.testing.assert_allclose(one["embeddings"], other["embeddings"], atol=1e-5)
    print(len(other["ids"]), "embeddings, those of the train image to 1e-5")
'
run embed id
say "all targets work"
