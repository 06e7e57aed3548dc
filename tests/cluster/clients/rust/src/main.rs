//! A pod with the library kube: reads a `ConfigMap` every 5 s, and prints the time and the status
//! of every answer.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_default().await?, "default");
    loop {
        let now = || chrono::Utc::now().format("%FT%T%.3fZ");
        match maps.get("answer").await {
            Ok(_) => println!("{} 200", now()),
            Err(Error::Api(refused)) => println!("{} {}", now(), refused.code),
            Err(failed) => println!("{failed}"),
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
