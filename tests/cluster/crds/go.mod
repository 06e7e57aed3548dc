// The Prometheus operator, pinned, for the definitions of its kinds: nothing of it is built.
module tokenwatch.test/crds

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
