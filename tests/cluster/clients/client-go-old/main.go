// Command client-go-old asks the API server for one path every 5 s. With client-go v8 (go.mod) it reads
// its token once, and with v10 (v10.mod) again after some minutes. It prints the time and the status of
// every answer.
package main

import (
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

func main() {
	config, err := rest.InClusterConfig()
	if err != nil {
		panic(err)
	}
	codecs := serializer.NewCodecFactory(runtime.NewScheme())
	config.ContentConfig = rest.ContentConfig{
		GroupVersion:         &schema.GroupVersion{Version: "v1"},
		NegotiatedSerializer: serializer.DirectCodecFactory{CodecFactory: codecs},
	}
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		panic(err)
	}
	for {
		var status int
		client.Get().AbsPath(os.Args[1]).Do().StatusCode(&status)
		fmt.Println(time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), status)
		time.Sleep(5 * time.Second)
	}
}
