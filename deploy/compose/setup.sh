#!/bin/sh
# Sets up the cluster for cyberterr; what is there already is left.
set -eu
exec cyberterr elastic setup --config /etc/cyberterr/settings.toml --create-keys /secrets/keys \
    --kibana https://kibana:5601 \
    --admin-user elastic --admin-password-file /secrets/admin/password
