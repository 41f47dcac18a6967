//! moto: an AWS in one Python process. It knows STS, IAM, Identity Center, Identity Store and Organizations in part, answers
//! every asynchronous call at once, and evaluates no policy.

use crate::process::{Process, StartError, free_port};
use crate::tools::python_tool;
use std::process::Command;

/// How many ports are tried when another program takes the free one first.
const PORT_TRIES: usize = 3;

/// A running moto server, empty, of this test alone.
#[derive(Debug)]
pub struct Moto {
    endpoint: String,
    process: Process,
}

impl Moto {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Result<Self, StartError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match Self::start_once().await {
                Err(StartError::Ended { .. }) if tried < PORT_TRIES => {}
                outcome => return outcome,
            }
        }
    }

    async fn start_once() -> Result<Self, StartError> {
        let port = free_port()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(python_tool("moto_server")?);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]).env("MOTO_CALL_RESET_API", "true");
        let mut process = Process::spawn("moto_server", &mut command, tempfile::tempdir()?)?;
        process.until_http(&format!("{endpoint}/moto-api/data.json")).await?;
        Ok(Self { endpoint, process })
    }

    /// Where it answers, for the SDK's `endpoint_url`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it has written lately, for the message of a failing test.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// The instance ARN to configure, from the one that moto lists. moto makes the ARN of a permission set by appending to whatever
/// instance ARN the caller names, and so `…instance/ssoins-…/ps-…`, which no AWS would answer. Named like this, it makes well
/// formed ones, and knows them again as long as everybody names the instance so.
pub fn instance_arn(listed: &str) -> String {
    listed.replace(":instance/", ":permissionSet/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moto_starts_and_answers() {
        let moto = Moto::start().await.unwrap();
        let answer = reqwest::get(format!("{}/moto-api/data.json", moto.endpoint())).await.unwrap();
        assert!(answer.status().is_success(), "{}", moto.log_tail());
    }
}
