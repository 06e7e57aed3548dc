// Command kube is all of Kubernetes that the test bed runs, in one binary: the
// first argument names the component. Every component has a wall clock that a
// test can move: see clock.go.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Each command is built on demand: building one takes hold of global flags.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	// It handles signals by itself, as the others do.
	"kubelet":   func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kubectl":   kubectl.NewDefaultKubectlCommand,
	"relay":     newRelayCommand,
	"stop-pods": newStopPodsCommand,
}

func main() {
	if err := followClockFile(os.Getenv(clockFileVariable)); err != nil {
		fmt.Fprintf(os.Stderr, "kube: %v\n", err)
		os.Exit(2)
	}
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	build, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kube: %q is no component; the first argument must be one of: %s\n", name, strings.Join(names(), ", "))
		os.Exit(2)
	}
	// The component shall see its own name as the program's, as if it were alone.
	os.Args = os.Args[1:]
	os.Exit(cli.Run(build()))
}

func names() []string {
	var list []string
	for name := range components {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
