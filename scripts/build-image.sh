#!/usr/bin/env bash
# Build the image and run its command once, with buildah: no container engine is needed, only root. Takes minutes.
#
#   scripts/build-image.sh [--install] [--tag NAME]
#
#   --install    first install buildah, crun and debootstrap with apt-get (Debian, Ubuntu)
#   --tag NAME   name of the image, default headwater:local
#
# When the Dockerfile's base image cannot be pulled, a stand-in with Debian's own Python is made by debootstrap and
# stored under its name. It lets the Dockerfile be built and tried; it is not the image to publish.
#
# Read from the environment:
#   STORAGE         directory of the images, default ${TMPDIR:-/tmp}/headwater-images; delete it to start afresh
#   SSL_CERT_FILE   authorities to trust while building, as behind a proxy that opens TLS; not kept in the image
set -euo pipefail
cd "$(dirname "$0")/.."

tag=headwater:local
storage=${STORAGE:-${TMPDIR:-/tmp}/headwater-images}
while (($#)); do
    case $1 in
        --install)
            apt-get update
            apt-get install --yes --no-install-recommends buildah crun debootstrap
            ;;
        --tag)
            tag=${2:?--tag needs a name}
            shift
            ;;
        *)
            sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
            exit 2
            ;;
    esac
    shift
done
for program in buildah debootstrap; do
    command -v "$program" >/dev/null || { echo "$program is missing: run $0 --install" >&2; exit 1; }
done

work=$(mktemp -d)
containers=()
clean_up() {
    ((${#containers[@]})) && builder rm "${containers[@]}" >/dev/null
    rm -rf "$work"
}
trap clean_up EXIT

builder() {
    buildah --storage-driver vfs --root "$storage/root" --runroot "$storage/run" "$@"
}

say() {
    printf '== %s (%d s)\n' "$1" "$SECONDS"
}

make_base() {
    local rootfs=$work/rootfs container name
    # python3 and python3-distutils by name: debootstrap does not follow virtual packages.
    if ! debootstrap --variant=minbase --include=ca-certificates,python3,python3-distutils,python3.11-venv \
        bookworm "$rootfs" >"$work/debootstrap.log" 2>&1; then
        tail -n 20 "$work/debootstrap.log" "$rootfs/debootstrap/debootstrap.log" >&2
        exit 1
    fi
    for name in python python3 python3.11; do
        ln -s /usr/bin/python3.11 "$rootfs/usr/local/bin/$name"
    done
    (cd "$rootfs" && rm -rf dev/* var/cache/apt/* var/lib/apt/lists/* var/log/* etc/hostname etc/resolv.conf)
    container=$(builder from scratch)
    containers+=("$container")
    builder add --quiet "$container" "$rootfs" / >/dev/null
    builder config --cmd python3 --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    builder commit --quiet --format docker "$container" "$1" >/dev/null
    rm -rf "$rootfs"
}

base=$(awk '$1 == "FROM" { print $2; exit }' Dockerfile)
if builder inspect --type image "$base" >/dev/null 2>&1; then
    say "base image $base is there"
elif builder pull --quiet "$base" 2>"$work/pull.log"; then
    say "base image $base pulled"
else
    tail -n 1 "$work/pull.log"
    say "base image $base cannot be pulled: making a stand-in"
    make_base "$base"
fi

# As files in the places where pip and uv look: a variable given to the build would stay in the image. Of the two files
# below nothing stays but the empty places where they were mounted.
given=()
if [[ -n ${SSL_CERT_FILE:-} ]]; then
    bundle=/etc/ssl/certs/ca-certificates.crt
    printf '[global]\ncert = %s\n' "$bundle" >"$work/pip.conf"
    printf 'system-certs = true\n' >"$work/uv.toml"
    given+=(--volume "$SSL_CERT_FILE:$bundle:ro" --volume "$work/pip.conf:/etc/pip.conf:ro"
        --volume "$work/uv.toml:/etc/uv/uv.toml:ro")
fi

say "building $tag"
builder build --isolation chroot --pull=never --format docker "${given[@]}" \
    --build-arg VERSION="$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)" \
    --build-arg REVISION="$(git describe --always --dirty --abbrev=40 --exclude="*" 2>/dev/null || echo unknown)" \
    --build-arg CREATED="$(date --utc +%Y-%m-%dT%H:%M:%SZ)" \
    --tag "$tag" .
builder rmi --prune --force >/dev/null  # what the tag named before

say "running it as the user it names"
container=$(builder from --pull=never "$tag")
containers+=("$container")
inside() {
    builder run --isolation chroot "$container" -- "$@"
}
[[ $(inside id -u) == 1001 ]] || { echo "the image does not run as uid 1001" >&2; exit 1; }
inside headwater --help >/dev/null
inside python -c 'import headwater.roles'  # all that a role needs is installed
inside headwater roles

builder inspect --type image --format 'user {{.Docker.Config.User}}, health check {{.Docker.Config.Healthcheck}}' "$tag"
printf '\n'
builder images --format '{{.Name}}:{{.Tag}} {{.Size}}'
say "done"
