#!/bin/bash
# Makes what must not be in any file of ours: a certificate authority, certificates, passwords.
# Runs in the image of Elasticsearch, whose elasticsearch-certutil it uses, as root.
# secrets.sh FOLDER: one folder below it for each reader; what is there already is left.
set -euo pipefail
umask 077
folder=$1
ELASTICSEARCH=1000 KIBANA=1000 CYBERTERR=10001 # user ids in their images

for part in authority public elasticsearch kibana admin; do mkdir -p "$folder/$part"; done
if [ -e "$folder/public/complete" ]; then
    echo "secrets are there already"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
random() { # 32 letters and digits: 190 bits
    head -c 512 /dev/urandom | base64 -w 0 | tr -dc 'A-Za-z0-9' | cut -c -32
}

elasticsearch-certutil ca --silent --pem --days 3650 --out "$work/ca.zip"
unzip -q "$work/ca.zip" -d "$work"
cat >"$work/instances.yml" <<END
instances:
  - name: elasticsearch
    dns: [elasticsearch, localhost]
    ip: [127.0.0.1]
  - name: kibana
    dns: [kibana, localhost]
    ip: [127.0.0.1]
END
elasticsearch-certutil cert --silent --pem --days 1095 --in "$work/instances.yml" \
    --ca-cert "$work/ca/ca.crt" --ca-key "$work/ca/ca.key" --out "$work/certificates.zip"
unzip -q "$work/certificates.zip" -d "$work"

cp "$work/ca/ca.crt" "$work/ca/ca.key" "$folder/authority/"

password=$(random) kibana_password=$(random)
printf %s "$password" >"$folder/elasticsearch/password"
printf %s "$password" >"$folder/admin/password"
cp "$work/ca/ca.crt" "$folder/elasticsearch/ca.crt"
cp "$work/elasticsearch/elasticsearch.crt" "$folder/elasticsearch/node.crt"
cp "$work/elasticsearch/elasticsearch.key" "$folder/elasticsearch/node.key"

cp "$work/kibana/kibana.crt" "$work/kibana/kibana.key" "$folder/kibana/"
printf '{"password": "%s"}' "$kibana_password" >"$folder/kibana/user.json"
cat >"$folder/kibana/kibana.yml" <<END
server.name: kibana
server.host: 0.0.0.0
server.publicBaseUrl: https://127.0.0.1:5601
server.ssl.enabled: true
server.ssl.certificate: /secrets/kibana/kibana.crt
server.ssl.key: /secrets/kibana/kibana.key
elasticsearch.hosts: ["https://elasticsearch:9200"]
elasticsearch.username: kibana_system
elasticsearch.password: "$kibana_password"
elasticsearch.ssl.certificateAuthorities: ["/secrets/public/ca.crt"]
xpack.security.encryptionKey: "$(random)"
xpack.encryptedSavedObjects.encryptionKey: "$(random)"
xpack.reporting.encryptionKey: "$(random)"
telemetry.optIn: false
END

chown -R "$ELASTICSEARCH:0" "$folder/elasticsearch"
chown -R "$KIBANA:0" "$folder/kibana"
chown -R "$CYBERTERR:$CYBERTERR" "$folder/admin"
cp "$work/ca/ca.crt" "$folder/public/ca.crt"
chmod 755 "$folder/public"
chmod 644 "$folder/public/ca.crt"
touch "$folder/public/complete" # last: a run that was interrupted starts anew
echo "secrets are made"
