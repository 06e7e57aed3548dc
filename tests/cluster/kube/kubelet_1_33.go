//go:build kubernetes_1_33

package main

import (
	"github.com/spf13/cobra"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Kubelet of 1.33 takes no context, and handles signals by itself.
func newKubeletCommand() *cobra.Command { return kubelet.NewKubeletCommand() }
