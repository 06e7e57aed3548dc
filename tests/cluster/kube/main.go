// Command kube is all of Kubernetes that the test bed runs, in one binary: the
// first argument names the component. Every component has a wall clock that a
// test can move: see clock.go.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	genericapiserver "k8s.io/apiserver/pkg/server"
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

// The kubelet's command wants a context that ends on a signal; the others make
// their own, and a process may do that only once, so each is built on demand.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubelet": func() *cobra.Command {
		return kubelet.NewKubeletCommand(genericapiserver.SetupSignalContext())
	},
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
	make, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kube: %q is no component; the first argument must be one of: %s\n", name, strings.Join(names(), ", "))
		os.Exit(2)
	}
	// The component shall see its own name as the program's, as if it were alone.
	os.Args = os.Args[1:]
	os.Exit(cli.Run(make()))
}

func names() []string {
	var list []string
	for name := range components {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}
