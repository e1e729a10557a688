#!/bin/bash
# Gives kibana_system the password that secrets.sh made. Passwords go through files and standard
# input, never through arguments, which every process can see.
set -euo pipefail
url=${1:-https://elasticsearch:9200}
folder=${2:-/secrets}
printf 'user = "elastic:%s"\n' "$(cat "$folder/elasticsearch/password")" |
    curl --config - --silent --show-error --fail --retry 10 --retry-connrefused \
        --cacert "$folder/public/ca.crt" --header 'Content-Type: application/json' \
        --data "@$folder/kibana/user.json" --request POST --output /dev/null \
        "$url/_security/user/kibana_system/_password"
echo "Kibana's user has its password"
