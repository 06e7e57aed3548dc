package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newStopPodsCommand stops every pod of a container runtime through CRI, which also
// removes their network. `down` uses it after it has stopped kubelet.
func newStopPodsCommand() *cobra.Command {
	var endpoint string
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "stop-pods --runtime unix:///SOCKET",
		Short: "Stop and remove every pod of a container runtime",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			return stopPods(ctx, endpoint)
		},
		SilenceUsage: true,
	}
	command.Flags().StringVar(&endpoint, "runtime", "", "the runtime's CRI endpoint")
	command.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "give up after this long")
	_ = command.MarkFlagRequired("runtime")
	return command
}

func stopPods(ctx context.Context, endpoint string) error {
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("cannot reach the container runtime at %s: %w", endpoint, err)
	}
	defer conn.Close()
	client := cri.NewRuntimeServiceClient(conn)
	list, err := client.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("cannot list the pods of the container runtime at %s: %w", endpoint, err)
	}
	results := make(chan error)
	for _, sandbox := range list.Items {
		go func() { results <- stopPod(ctx, client, sandbox) }()
	}
	var failures []error
	for range list.Items {
		failures = append(failures, <-results)
	}
	return errors.Join(failures...)
}

func stopPod(ctx context.Context, client cri.RuntimeServiceClient, sandbox *cri.PodSandbox) error {
	_, err := client.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: sandbox.Id})
	if err == nil {
		_, err = client.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: sandbox.Id})
	}
	if err != nil {
		return fmt.Errorf("cannot stop pod %s/%s: %w", sandbox.Metadata.GetNamespace(), sandbox.Metadata.GetName(), err)
	}
	return nil
}
