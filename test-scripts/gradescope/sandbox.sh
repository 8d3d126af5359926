# Sets `sandbox`: most containers let nobody make namespaces, and then Landlock and seccomp have to do. Each submission has a container of its own.
sandbox=
bwrap --unshare-user --unshare-pid --ro-bind / / true 2>/dev/null || sandbox=--no-namespaces
