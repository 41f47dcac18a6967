//! The AWS CLI: a client that knows nothing of Daypass, as users have it and as an observer of what is in AWS.

use crate::organisation::REGION;
use crate::tools::{Missing, python_tool};
use serde::Deserialize;
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::process::Command;

/// A profile of the operator who looks at what is there.
const OPERATOR: &str = "operator";

/// The AWS CLI with a home of its own, talking to one emulator.
#[derive(Debug)]
pub struct AwsCli {
    program: PathBuf,
    endpoint: String,
    home: TempDir,
}

/// A command that failed, or could not be run.
#[derive(Debug, thiserror::Error)]
pub enum AwsCliError {
    /// The CLI is not installed.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It ended with an error.
    #[error("aws {command}: {stderr}")]
    Failed {
        /// What was asked.
        command: String,
        /// What it wrote.
        stderr: String,
    },
    /// It answered something else than expected.
    #[error("the answer of the AWS CLI: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Who STS says is calling.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallerIdentity {
    /// `arn:aws:sts::…:assumed-role/role/session`.
    pub arn: String,
    /// The account.
    pub account: String,
    /// `AROA…:session`.
    pub user_id: String,
}

impl AwsCli {
    /// A CLI that talks to `endpoint`, with no profile but the operator's.
    pub fn new(endpoint: &str) -> Result<Self, AwsCliError> {
        let cli =
            Self { program: python_tool("aws")?, endpoint: endpoint.to_owned(), home: tempfile::tempdir()? };
        std::fs::write(cli.config_file(), format!("[default]\nregion = {REGION}\noutput = json\n"))?;
        cli.add_profile(OPERATOR, "aws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = example")?;
        Ok(cli)
    }

    /// Adds a profile whose credentials come from a command (`credential_process`).
    pub fn add_credential_process(&self, profile: &str, command: &str) -> Result<(), AwsCliError> {
        self.add_profile(profile, &format!("credential_process = {command}"))
    }

    fn add_profile(&self, profile: &str, lines: &str) -> Result<(), AwsCliError> {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.config_file())?;
        Ok(writeln!(file, "[profile {profile}]\nregion = {REGION}\noutput = json\n{lines}")?)
    }

    fn config_file(&self) -> PathBuf {
        self.home.path().join("config")
    }

    /// Runs `aws <args>` with a profile; the environment is empty but for what the CLI needs.
    pub async fn run(&self, profile: &str, args: &[&str]) -> Result<Value, AwsCliError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let output = Command::new(&self.program)
            .args(args)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("AWS_CONFIG_FILE", self.config_file())
            .env("AWS_SHARED_CREDENTIALS_FILE", self.home.path().join("credentials"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_PROFILE", profile)
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(AwsCliError::Failed { command: args.join(" "), stderr });
        }
        if output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// `aws sts get-caller-identity`.
    pub async fn caller_identity(&self, profile: &str) -> Result<CallerIdentity, AwsCliError> {
        let answer = self.run(profile, &["sts", "get-caller-identity"]).await?;
        Ok(serde_json::from_value(answer)?)
    }

    /// The ids of the users who hold a permission set in an account, as an operator of Identity Center sees it.
    pub async fn assigned_users(
        &self,
        instance_arn: &str,
        account: &str,
        permission_set: &str,
    ) -> Result<Vec<String>, AwsCliError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            account_assignments: Vec<Assignment>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Assignment {
            principal_type: String,
            principal_id: String,
        }
        let args = [
            "sso-admin",
            "list-account-assignments",
            "--instance-arn",
            instance_arn,
            "--account-id",
            account,
            "--permission-set-arn",
            permission_set,
        ];
        let answer: Answer = serde_json::from_value(self.run(OPERATOR, &args).await?)?;
        let users = answer.account_assignments.into_iter().filter(|held| held.principal_type == "USER");
        Ok(users.map(|held| held.principal_id).collect())
    }

    /// Gives a user a permission set in an account, as an operator without Daypass would: a standing assignment.
    pub async fn assign(
        &self,
        instance_arn: &str,
        account: &str,
        permission_set: &str,
        user: &str,
    ) -> Result<(), AwsCliError> {
        let args = [
            "sso-admin",
            "create-account-assignment",
            "--instance-arn",
            instance_arn,
            "--target-id",
            account,
            "--target-type",
            "AWS_ACCOUNT",
            "--permission-set-arn",
            permission_set,
            "--principal-type",
            "USER",
            "--principal-id",
            user,
        ];
        self.run(OPERATOR, &args).await.map(drop)
    }
}
