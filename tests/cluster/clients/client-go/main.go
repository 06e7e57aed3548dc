// Command client-go is a pod with the current client-go, used in one of three ways:
//
//	client-go request PATH   asks for PATH every 5 s
//	client-go informer       only watches the config maps of its namespace
//	client-go standby        waits to be elected as the leader that never yields
//
// It prints the time and the status of every answer, or of what it noticed.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func main() {
	config, err := rest.InClusterConfig()
	if err != nil {
		panic(err)
	}
	switch os.Args[1] {
	case "request":
		request(core.NewForConfigOrDie(config), os.Args[2])
	case "informer":
		informer(core.NewForConfigOrDie(config))
	case "standby":
		standby(coordination.NewForConfigOrDie(config))
	}
}

func request(client *core.CoreV1Client, path string) {
	for {
		var status int
		client.RESTClient().Get().AbsPath(path).Do(context.Background()).StatusCode(&status)
		print(status)
		time.Sleep(5 * time.Second)
	}
}

func informer(client *core.CoreV1Client) {
	maps := cache.NewListWatchFromClient(client.RESTClient(), "configmaps", namespace(), fields.Everything())
	watched := cache.NewSharedInformer(maps, &corev1.ConfigMap{}, 0)
	_ = watched.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { printError(err) })
	go watched.Run(context.Background().Done())
	cache.WaitForCacheSync(context.Background().Done(), watched.HasSynced)
	print(200)
	select {}
}

func standby(client *coordination.CoordinationV1Client) {
	name := os.Getenv("HOSTNAME")
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "standby", Namespace: namespace()},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: name},
	}
	leaderelection.RunOrDie(context.Background(), leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second,
		RetryPeriod: 5 * time.Second,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { print(201) },
			OnStoppedLeading: func() { print(0) },
			OnNewLeader:      func(string) { print(200) },
		},
	})
}

func namespace() string {
	bytes, _ := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	return strings.TrimSpace(string(bytes))
}

func printError(err error) {
	if answer, ok := err.(errors.APIStatus); ok {
		print(int(answer.Status().Code))
		return
	}
	print(0)
}

func print(status int) {
	fmt.Println(time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), status)
}
