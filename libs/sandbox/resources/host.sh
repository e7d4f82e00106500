#!/bin/sh
# Makes a container into a host: sshd for the deploy user and a Docker engine of its own, both kept running.
# Everything it is given lies in /sandbox, everything that must outlive the container in volumes.
set -eu

given=/sandbox
user=deploy

# The engine makes a cgroup for each container; what this container was given is mounted read-only.
writable_cgroups() {
    awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts | while read -r mount; do
        mount -o remount,bind,rw "$mount"
    done
    # cgroup v2: a group that hands controllers to children may hold no process itself.
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mkdir -p /sys/fs/cgroup/init
        xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || :
        sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers \
            > /sys/fs/cgroup/cgroup.subtree_control || :
    fi
}

deploy_user() {
    getent group docker >/dev/null || groupadd --system docker
    getent passwd "$user" >/dev/null || useradd --create-home --shell /bin/bash "$user"
    # No password at all, but no locked account either, which sshd would refuse.
    usermod --password '*' --append --groups docker "$user"
    install -d -o "$user" -g "$user" -m 0700 "/home/$user/.ssh"
    install -o "$user" -g "$user" -m 0600 "$given/authorized_keys" "/home/$user/.ssh/authorized_keys"
    install -d -o "$user" -g "$user" -m 0755 /srv/py-cicd
}

# Runs a daemon for ever, as the init of a real host would.
keep() {
    while :; do
        "$@" || :
        sleep 1
    done
}

# What ship host bootstrap sets on a real host: an edge that closes hands what waits for it to the one beside it
# (docs/adr/0012). An older kernel has no such switch.
kernel() {
    [ ! -e /proc/sys/net/ipv4/tcp_migrate_req ] || echo 1 > /proc/sys/net/ipv4/tcp_migrate_req
}

writable_cgroups
kernel
deploy_user
install -d -m 0755 /etc/docker /run/sshd
install -m 0644 "$given/daemon.json" /etc/docker/daemon.json
install -D -m 0644 "$given/ca.crt" "/etc/docker/certs.d/$(cat "$given/registry_name")/ca.crt"
# As on any Debian. /run is empty at each start; a pid file that outlived its process would stop the engine.
[ -L /var/run ] || { rm -rf /var/run && ln -s /run /var/run; }

keep /usr/sbin/sshd -D -e -f "$given/sshd_config" &
keep dockerd &
wait
