//go:build !kubernetes_1_33

package main

import (
	"context"

	"github.com/spf13/cobra"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Kubelet handles signals by itself, like the other components.
func newKubeletCommand() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }
