//! Projected token files under kubelet roots.
