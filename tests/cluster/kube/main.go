// Command kube contains every Kubernetes component that the test bed runs. The first
// argument names the component. A test can move the wall clock of every component:
// see clock.go.
package main

import (
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
)

// main builds only the command that it runs, because each one registers global flags.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubelet":                 newKubeletCommand,
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"relay":                   newRelayCommand,
	"stop-pods":               newStopPodsCommand,
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
		fmt.Fprintf(os.Stderr, "kube: %q is not a component; the first argument must be one of: %s\n", name, strings.Join(names(), ", "))
		os.Exit(2)
	}
	// The component sees its own name as the program's name, like a binary of its own.
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
