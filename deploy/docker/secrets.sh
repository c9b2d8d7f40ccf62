#!/bin/sh
# What this deployment alone knows, made at its first start: passwords of Redis' users, Flower and Grafana, a certificate.
# Each service gets one folder of these as a volume of its own. What is there already stays; `renew` makes all anew.
set -eu
umask 027
root=/secrets
# Users in the images: gridq's own, and those of redis, grafana and nginx.
gridq=10001 redis=999 grafana=472 nginx=101
[ "${1:-}" != renew ] || find "$root" -mindepth 2 -type f -delete

random() { python -c 'import secrets; print(secrets.token_hex(24))'; }

# A whole file or none, and never to be read by others: FILE GROUP, the content on stdin.
put() {
  new=$1.new
  rm -f "$new"
  cat >"$new"
  chown "0:$2" "$new"
  chmod 0440 "$new"
  mv "$new" "$1"
}

for role in producer worker monitor operator; do
  [ -s "$root/$role/broker-password" ] || random | put "$root/$role/broker-password" $gridq
done

# Redis knows the passwords' hashes; what its own health check may do is PING.
[ -s "$root/redis/health-password" ] || random | put "$root/redis/health-password" $redis
{
  gridq acl | grep '^user default '
  echo "user health on #$(printf %s "$(cat "$root/redis/health-password")" | sha256sum | cut -d' ' -f1) -@all +ping"
  for role in producer worker monitor operator; do
    gridq acl "$role" --password-file "$root/$role/broker-password" | grep '^user '
  done
} | put "$root/redis/users.acl" $redis

[ -s "$root/flower/users" ] || echo "admin:$(random)" | put "$root/flower/users" $gridq
[ -s "$root/grafana/admin-password" ] || random | put "$root/grafana/admin-password" $grafana

# Signed by itself; a certificate of one's own goes into the same two files.
if ! [ -s "$root/nginx/tls.crt" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=$SERVER_NAME" \
    -addext "subjectAltName=DNS:$SERVER_NAME,DNS:localhost,IP:127.0.0.1" -keyout /tmp/tls.key -out /tmp/tls.crt 2>/dev/null
  put "$root/nginx/tls.crt" $nginx </tmp/tls.crt
  put "$root/nginx/tls.key" $nginx </tmp/tls.key
  rm /tmp/tls.key
fi

# A volume that is new belongs to root, whatever its image says of the folder.
chown $redis:$redis /data/redis
chown $gridq:$gridq /data/beat /data/flower
chmod 0700 /data/redis /data/beat /data/flower
echo "the secrets of this deployment are there"
