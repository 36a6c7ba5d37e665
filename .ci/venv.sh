# Sourced by .ci/stack_b, .ci/short and .ci/mim.

# make_venv FOLDER ARGUMENT...: an environment of its own, made once and again when what it asks for changes.
make_venv() {
    local venv=$1 wanted
    shift
    wanted=$(printf '%s\n' "$@" | cat - pyproject.toml requirements.txt | sha256sum)
    if [[ ! -f $venv/ready || $(<"$venv/ready") != "$wanted" ]]; then
        echo "Installing into $venv (about 6 GB with torch; two minutes or more) ..."
        rm -rf "$venv"
        "${PYTHON:-python3}" -m venv "$venv"
        "$venv/bin/pip" install --quiet --upgrade pip
        "$venv/bin/pip" install --quiet "$@"
        echo "$wanted" >"$venv/ready"
    fi
}
